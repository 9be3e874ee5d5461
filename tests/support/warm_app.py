"""The CDK app in a process that goes on: each synthesis but the first takes it a tenth of what a process of its own takes.

What takes that long is the same each time: the CDK's library is imported, Node starts, and its compiler learns what is often called.
What is synthesised is the same: app.py is run anew with the `lib` of the checkout that asks, and is told what CDK_OUTDIR and CDK_CONTEXT_JSON tell a process
of its own.
"""

import io
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Client, Listener
from pathlib import Path

from tests.support.children import ends_with_us
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
JSII_CACHE = "JSII_RUNTIME_PACKAGE_CACHE_ROOT"

_APP = """import os, sys
from multiprocessing.connection import Client
with Client({socket!r}) as app:
    app.send((os.path.dirname(os.path.abspath(__file__)), os.environ["CDK_OUTDIR"], os.environ["CDK_CONTEXT_JSON"]))
    code, errors = app.recv()
sys.stderr.write(errors)
sys.exit(code)
"""


@dataclass(frozen=True)
class WarmApp:
    """One that runs."""

    socket: Path

    def __call__(self, directory: Path, **context: str) -> subprocess.CompletedProcess[str]:
        """Synthesise into a directory; returns what a process of its own would have said."""
        with Client(str(self.socket)) as app:
            app.send((str(ROOT), str(directory), json.dumps(context)))
            code, errors = app.recv()
        return subprocess.CompletedProcess("app.py", code, "", errors)

    def checkout(self, directory: Path) -> Path:
        """Make a checkout whose app.py has this one synthesise what its own `lib` says; returns it."""
        shutil.copytree(ROOT / "lib", directory / "lib", ignore=shutil.ignore_patterns("__pycache__"))
        (directory / "app.py").write_text(_APP.format(socket=str(self.socket)))
        return directory


def cdk_variables() -> dict[str, str]:
    """What a process that imports the CDK is told: the node that is in .venv, and where the CDK's libraries are unpacked, as app.py has it."""
    return {**os.environ, "PATH": f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}", JSII_CACHE: f"{sys.prefix}/jsii"}


@contextmanager
def warm_app() -> Generator[WarmApp]:
    # A socket's path has an end: that of a test's own directory may be too long.
    with tempfile.TemporaryDirectory(prefix="tap-app-") as directory, (Path(directory) / "log").open("w+") as log:
        app = WarmApp(Path(directory) / "socket")
        environment = {name: value for name, value in cdk_variables().items() if not name.startswith("CDK_")}
        command = ends_with_us(sys.executable, "-m", "tests.support.warm_app", app.socket)
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            wait_until(lambda: app.socket.exists() or process.poll() is not None, "the app listens")
            log.seek(0)
            assert process.poll() is None, log.read()
            yield app
        finally:
            process.terminate()
            process.wait()


def _run(checkout: str, app: partial[object]) -> tuple[int, str]:
    """Run app.py with an `App` that is told where and what; returns its exit code, and what it said of its mistakes."""
    import aws_cdk  # noqa: PLC0415 - whoever asks such a process has no use for it

    for name in [name for name in sys.modules if name.partition(".")[0] == "lib"]:
        del sys.modules[name]  # another checkout's, or what it was before it was changed
    sys.path[0] = checkout
    said = io.StringIO()
    real, aws_cdk.App = aws_cdk.App, app
    try:
        with redirect_stderr(said):
            runpy.run_path("app.py", run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0), said.getvalue()
    except BaseException as failure:  # noqa: BLE001 - whoever asked is told
        return 1, f"{said.getvalue()}{failure}\n"
    finally:
        aws_cdk.App = real
    return 0, said.getvalue()


def _serve(socket: str) -> None:
    import aws_cdk  # noqa: PLC0415 - as above

    sys.path.insert(0, "")
    with Listener(socket) as listener:
        while True:
            with listener.accept() as client:
                checkout, directory, context = client.recv()
                told: Mapping[str, str] = json.loads(context)
                client.send(_run(checkout, partial(aws_cdk.App, outdir=directory, post_cli_context=told)))


if __name__ == "__main__":
    _serve(sys.argv[1])
