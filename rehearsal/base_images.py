"""The images that a rehearsal needs and no registry has to give: made of Debian's packages, Python's locked ones and this checkout.

Each is named by what it is made of, and made only when an engine hasn't got it. Names begin with `PREFIX`, so that none hides an official image.
"""

import contextlib
import hashlib
import os
import ssl
import subprocess
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from payments.cli.aws.images import local_image
from payments.runtime.topology import DATABASE_CA_FILE, DATABASE_CA_SOURCE, Service
from rehearsal.authority import Authority
from rehearsal.engine import Engine, EngineError, install, last_line

PREFIX = "tap-rehearsal"
"""The emulator's `MINISTACK_IMAGE_PREFIX`, under which it finds `postgres:17-alpine`."""
ROOT = Path(__file__).parents[1]
_RECIPES = Path(__file__).with_name("images")
_DATABASE_NAME = f"{PREFIX}/postgres:17-alpine"
_SUITE = "trixie"
_PACKAGES = ("ca-certificates", "netbase", "python3.13", "python3-pip-whl", "tzdata")
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")
_TRUST = "/etc/ssl/certs/ca-certificates.crt"
_BOOTSTRAP_SECONDS_MAX = 900.0
_HOOK = f"""set -eu
cp "$TAP_TRUST" "$1{_TRUST}"
rm -f "$1/etc/resolv.conf" "$1/etc/hostname"
chroot "$1" sh -eu -c '
    packages=/usr/local/lib/python3.13/dist-packages
    mkdir -p "$packages"
    python3.13 -m zipfile --extract /usr/share/python-wheels/pip-*.whl "$packages"
    rm -r /usr/share/python-wheels
    ln -s /usr/bin/python3.13 /usr/local/bin/python3
    ln -s python3 /usr/local/bin/python
'
"""
"""Makes Debian's Python look like the official image's: `python` in /usr/local/bin, with pip. And it trusts whom this machine trusts, who may be
between it and Python's packages."""


@dataclass(frozen=True, slots=True)
class BaseImages:
    """Names of images on the engine."""

    base: str
    """What the Dockerfile's `BASE` can be."""
    database: str
    emulator: str


@dataclass(frozen=True, slots=True)
class Trusted:
    """Whose certificates the services take: as they take AWS's for databases, and everybody's for names on the internet."""

    databases: Authority
    public: Authority


def base_images(engine: Engine, directory: Path, *, may_install: bool = False) -> BaseImages:
    """Have them on the engine; `directory` is for what is made on the way. Raises `EngineError`."""
    base = _base(engine, directory, may_install=may_install)
    with ThreadPoolExecutor() as pool:  # all of them mostly wait for packages
        runtime, database, emulator = (
            pool.submit(_runtime, engine, base),
            pool.submit(_database, engine, base),
            pool.submit(_emulator, engine, base),
        )
        runtime.result()
        return BaseImages(base=base, database=database.result(), emulator=emulator.result())


def service_images(engine: Engine, images: BaseImages, trusted: Trusted, tag: str) -> dict[Service, str]:
    """Build the services' images as they are released, and add a layer in which they trust the rehearsal's authorities.

    They are called as `make images` calls them, so that `tap deploy --image TAG` finds them built. Raises `EngineError`.
    """

    def made(service: Service) -> str:
        released, named = f"{PREFIX}/released/{service}:{tag}", local_image(service, tag)
        engine.build(released, ROOT, target=service, BASE=images.base, REVISION=tag)
        _trusting(engine, released, named, trusted)
        engine.run("image", "rm", "--no-prune", released)
        return named

    with ThreadPoolExecutor() as pool:
        return dict(zip(Service, pool.map(made, Service), strict=True))


def _trusting(engine: Engine, image: str, name: str, trusted: Trusted) -> None:
    with tempfile.TemporaryDirectory(prefix="tap-rehearsal-") as made:
        context = Path(made)
        (context / "bundle.pem").write_bytes(DATABASE_CA_SOURCE.read_bytes() + trusted.databases.ca_file.read_bytes())
        (context / "public.crt").write_bytes(trusted.public.ca_file.read_bytes())
        lines = (
            f"FROM {image}",
            f"COPY --chmod=0444 bundle.pem {DATABASE_CA_FILE}",
            "COPY --chmod=0444 public.crt /usr/local/share/ca-certificates/rehearsal.crt",
            "USER root",
            "RUN /usr/sbin/update-ca-certificates",
            "USER 10001:10001",
        )
        (context / "Dockerfile").write_text("\n".join(lines))
        engine.build(name, context)


def remove_images(engine: Engine, names: Iterable[str]) -> None:
    """Remove images, as far as they are there."""
    for name in names:
        if engine.has_image(name):
            engine.run("image", "rm", "--force", name)


def _base(engine: Engine, directory: Path, *, may_install: bool) -> str:
    trust = trusted_by_this_machine()
    index = {name: os.environ[name] for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL") if name in os.environ}
    name = f"{PREFIX}/base:{_digest(_SUITE, *_PACKAGES, *_LEFT_OUT, _HOOK, trust.read_bytes(), *index.values())}"
    if engine.has_image(name):
        return name
    if not _has_mmdebstrap():
        install("mmdebstrap", "mmdebstrap", may_install=may_install)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="base-", dir=directory) as made:
        archive, hook = Path(made) / "base.tar", Path(made) / "hook"
        hook.write_text(_HOOK)
        _bootstrap(archive, hook, trust)
        variables = {
            "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "PIP_CERT": _TRUST,
            "SSL_CERT_FILE": _TRUST,
            **index,
        }
        changes = (part for key, value in variables.items() for part in ("--change", f"ENV {key}={value}"))
        engine.run("import", *changes, "--change", 'CMD ["python"]', str(archive), name)
    _forget_others(engine, name)
    return name


def _bootstrap(archive: Path, hook: Path, trust: Path) -> None:
    done = subprocess.run(
        [
            *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(_PACKAGES)}"),
            *(f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT),
            *(f'--customize-hook=sh "{hook}" "$1"', _SUITE, str(archive)),
        ],
        env={**os.environ, "TAP_TRUST": str(trust)},
        capture_output=True,
        text=True,
        timeout=_BOOTSTRAP_SECONDS_MAX,
        check=False,
    )
    if done.returncode:
        raise EngineError(f"mmdebstrap can't make the base image: {last_line(done.stderr)}")


def _has_mmdebstrap() -> bool:
    try:
        return subprocess.run(["mmdebstrap", "--version"], capture_output=True, timeout=60, check=False).returncode == 0
    except FileNotFoundError:
        return False


def trusted_by_this_machine() -> Path:
    """Return the file of certificate authorities that this machine's programs trust; raises `EngineError`."""
    named = (os.environ.get(name, "") for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"))
    for path in (*named, ssl.get_default_verify_paths().cafile, _TRUST):
        if path and Path(path).is_file():
            return Path(path)
    raise EngineError("This machine trusts no certificate authorities: install ca-certificates.")


def _database(engine: Engine, base: str) -> str:
    name = f"{PREFIX}/database:{_digest(base, *_files(_RECIPES.glob('postgres*')))}"
    if not engine.has_image(name):
        engine.build(name, _RECIPES, file=_RECIPES / "postgres.Dockerfile", BASE=base)
        _forget_others(engine, name)
    engine.run("tag", name, _DATABASE_NAME)
    return _DATABASE_NAME


def _emulator(engine: Engine, base: str) -> str:
    recipe, requirements = _RECIPES / "emulator.Dockerfile", ROOT / "requirements-emulator.txt"
    sources = (ROOT / "rehearsal/__init__.py", *(ROOT / "rehearsal/emulator").rglob("*.py"))
    name = f"{PREFIX}/emulator:{_digest(base, *_files((recipe, requirements, *sources)))}"
    if not engine.has_image(name):
        with tempfile.TemporaryDirectory(prefix="tap-rehearsal-") as made:
            for path in (requirements, *sources):
                copy = Path(made) / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
            engine.build(name, Path(made), file=recipe, BASE=base)
        _forget_others(engine, name)
    return name


def _runtime(engine: Engine, base: str) -> None:
    """Build what the services' images have in common; the engine remembers its layers."""
    engine.build(f"{PREFIX}/runtime", ROOT, target="runtime", BASE=base)


def _forget_others(engine: Engine, name: str) -> None:
    """Remove what was made of other ingredients, unless it is in use."""
    for other in engine.run("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", name.rpartition(":")[0]).split():
        if other != name:
            with contextlib.suppress(EngineError):
                engine.run("image", "rm", other)


def _files(paths: Iterable[Path]) -> Iterable[bytes | str]:
    for path in sorted(paths):
        yield path.name
        yield path.read_bytes()


def _digest(*parts: str | bytes) -> str:
    made = hashlib.sha256()
    for part in parts:
        each = part.encode() if isinstance(part, str) else part
        made.update(len(each).to_bytes(8) + each)
    return made.hexdigest()[:12]
