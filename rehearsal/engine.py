"""The Docker engine that a rehearsal runs on: one that is there, or a private one that is started and stopped again.

The private engine keeps its images under `.rehearsal/engine`, so that a second rehearsal is quick. It has no default bridge: builds use the
host's network, containers the networks that are made for them, so that it doesn't get in the way of an engine that has one.
"""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rehearsal.private_engine import EngineError, private_engine

INSTALL_VARIABLE = "TAP_REHEARSAL_INSTALL"
"""1 lets a rehearsal install the Debian packages that it lacks."""
_BUILT_IN_BUILDKIT_BELOW = 23
"""Major version of the command line; newer ones leave BuildKit to a plug-in."""
_COMMAND_SECONDS_MAX = 900.0
_PING_SECONDS_MAX = 5.0
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine and a command line for it that knows BuildKit."""

    docker: str
    """The command line's path."""
    socket: Path
    """Where the engine listens, on this machine: containers can be given it."""

    @property
    def environment(self) -> dict[str, str]:
        """What makes `docker`, and whatever starts it, use this engine."""
        return {
            **os.environ,
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_BUILDKIT": "1",
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
            "ENGINE": self.docker,
        }

    def run(self, *arguments: str, seconds_max: float = _COMMAND_SECONDS_MAX) -> str:
        """Run the command line and return what it prints; raises `EngineError` with the last line of what went wrong."""
        done = subprocess.run(
            [self.docker, *arguments], env=self.environment, capture_output=True, text=True, timeout=seconds_max, check=False
        )
        if done.returncode:
            raise EngineError(f"docker {arguments[0]}: {last_line(done.stderr)}")
        return done.stdout

    def has_image(self, name: str) -> bool:
        """Tell whether an image is there, without asking a registry."""
        return bool(self.run("image", "ls", "--quiet", name).strip())

    def build(self, name: str, context: Path, *, file: Path | None = None, target: str | None = None, **arguments: str) -> None:
        """Build an image; `arguments` are those of the Dockerfile. What had the name before is removed, unless it is in use. Raises `EngineError`."""
        replaced = self.run("image", "ls", "--quiet", "--no-trunc", name).strip()
        proxies = [each for each in _PROXY_VARIABLES if each in os.environ]
        self.run(
            *("build", "--quiet", "--network", "host", "--tag", name),
            *(("--file", str(file)) if file else ()),
            *(("--target", target) if target else ()),
            *(part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")),
            *(part for key in proxies for part in ("--build-arg", key)),
            str(context),
        )
        if replaced and self.run("image", "ls", "--quiet", "--no-trunc", name).strip() != replaced:
            with suppress(EngineError):
                self.run("image", "rm", replaced)


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it failed without a word"


@contextmanager
def running_engine(directory: Path, *, may_install: bool = False) -> Generator[Engine]:
    """Give an engine; one that had to be started keeps its images in `directory`, and is stopped at the end. Raises `EngineError`."""
    found = find_running(os.environ)
    if found is None and shutil.which("dockerd", path=_search_path()) is None:
        install("docker.io", "dockerd", may_install=may_install)
        found = find_running(os.environ)  # the package may have started it
    if found is not None:
        yield Engine(docker=find_command_line(), socket=found)
        return
    docker = find_command_line()
    with private_engine(directory, dockerd=shutil.which("dockerd", path=_search_path()) or "dockerd", answers=answers) as listening:
        yield Engine(docker=docker, socket=listening)


def find_running(environment: Mapping[str, str]) -> Path | None:
    """Return the socket of an engine that answers; raises `EngineError` when `DOCKER_HOST` names one that doesn't, or one elsewhere."""
    if named := environment.get("DOCKER_HOST"):
        path = Path(named.removeprefix("unix://"))
        if not named.startswith("unix://"):
            raise EngineError(
                f"DOCKER_HOST is {named}, and a rehearsal needs an engine on this machine, by its socket: unset it, or name another."
            )
        if not answers(path):
            raise EngineError(f"No engine answers at DOCKER_HOST={named}: start it, or unset DOCKER_HOST.")
        return path
    candidates = [Path("/var/run/docker.sock")]
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        candidates.append(Path(runtime) / "docker.sock")
    return next((path for path in candidates if answers(path)), None)


def answers(path: Path) -> bool:
    """Ask an engine whether it is well. Source: Docker Engine API, "Ping"."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PING_SECONDS_MAX)
            connection.connect(str(path))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(100).partition(b"\r\n")[0]
    except OSError:
        return False


def find_command_line() -> str:
    """Return a `docker` that builds with BuildKit; raises `EngineError`."""
    found = [str(Path(directory) / "docker") for directory in _search_path().split(os.pathsep) if (Path(directory) / "docker").exists()]
    for docker in found:
        if _knows_buildkit(docker):
            return docker
    if found:
        raise EngineError(f"{found[0]} builds without BuildKit: install its buildx plug-in.")
    raise EngineError("There is no docker command: install Docker.")


def _knows_buildkit(docker: str) -> bool:
    told = subprocess.run([docker, "--version"], capture_output=True, text=True, timeout=_PING_SECONDS_MAX, check=False)
    version = re.match(r"Docker version (\d+)\.", told.stdout)
    if version is None:
        return False
    if int(version[1]) < _BUILT_IN_BUILDKIT_BELOW:
        return True
    return subprocess.run([docker, "buildx", "version"], capture_output=True, timeout=_PING_SECONDS_MAX, check=False).returncode == 0


def install(package: str, program: str, *, may_install: bool) -> None:
    """Install a Debian package, if that is allowed and possible; raises `EngineError` with what to do instead."""
    if not may_install or os.geteuid() or shutil.which("apt-get") is None:
        raise EngineError(
            f"{program} isn't installed: on Debian, apt-get install {package}; or let the rehearsal do so, as root, with {INSTALL_VARIABLE}=1."
        )
    started = time.monotonic()
    for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-q", "-y", "--no-install-recommends", package]):
        done = subprocess.run(
            command,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS_MAX - (time.monotonic() - started),
            check=False,
        )
        if done.returncode:
            raise EngineError(f"{package} can't be installed: {last_line(done.stderr)}")


def _search_path() -> str:
    """Return PATH with where Debian keeps what only root runs."""
    return os.pathsep.join([*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", "/usr/bin"])
