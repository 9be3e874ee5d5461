"""Builds a program that uses an SDK, runs it against a Tap of its own, and holds what it says it did against what it is to do."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.support.children import ends_with_us

Command = Sequence[str | Path]
Tap = Callable[[], AbstractContextManager[Mapping[str, str]]]
"""Runs a Tap that nothing has happened in, and gives the environment variables that tell where it is."""

_COMPLAINT_LINES_MAX = 40
_OK = " ok"


@dataclass(frozen=True)
class Sdk:
    """An SDK, and a program that pays with it: one that prints `STEP ok` for each step, and ends with another code than 0 if one fails.

    Whatever else it prints is passed on; what it says to standard error is shown when it failed.
    """

    name: str
    tools: Sequence[str | Path]
    """Commands that the machine is to have."""
    build: Callable[[Path], Sequence[Command]]
    """Commands that build it into a directory; they run in `source`."""
    run: Callable[[Path], Command]
    """The command that runs what was built into a directory, in that directory."""
    source: Path
    steps: Sequence[str]
    """Each is to be said to be ok, whatever else there is: a program that ends early has failed."""

    def missing(self) -> list[str]:
        """The tools that aren't on this machine."""
        return [str(tool) for tool in self.tools if shutil.which(tool) is None]


class Failed(Exception):
    """A step failed; its text is what the program said."""

    def __init__(self, step: str, complaint: str) -> None:
        super().__init__(f"{step}: {complaint}")
        self.step = step
        self.complaint = complaint


def check(sdks: Sequence[Sdk], tap: Tap) -> int:
    """Check one after the other, telling of each step; return the exit code: 0 when all of them did all that they are to do."""
    summary: list[str] = []
    complete = True
    for sdk in sdks:
        if missing := sdk.missing():
            summary.append(f"SKIPPED: no {', no '.join(missing)} on this machine: {sdk.name} was not tried; --only asks for less")
            complete = False
            continue
        try:
            done = _check(sdk, tap)
        except Failed as failure:
            _tell(sdk, failure.step, "FAILED")
            print("\n".join(f"    {line}" for line in failure.complaint.splitlines()[-_COMPLAINT_LINES_MAX:]), flush=True)
            summary.append(f"{sdk.name:<10} FAILED at {failure.step}")
            complete = False
        else:
            summary.append(f"{sdk.name:<10} ok, {done} steps")
    print("", *summary, sep="\n")
    return 0 if complete else 1


def _check(sdk: Sdk, tap: Tap) -> int:
    """Build and run one; return how many steps it took."""
    with tempfile.TemporaryDirectory(prefix="tap-sdk-") as built:
        directory = Path(built)
        commands = sdk.build(directory)
        if commands:
            _note(sdk, "is being built, which takes minutes where nothing was fetched or built before")
        for command in commands:
            made = subprocess.run(ends_with_us(*_found(command)), cwd=sdk.source, capture_output=True, text=True, check=False)
            if made.returncode:
                raise Failed("build", made.stdout + made.stderr)
        if commands:
            _tell(sdk, "build", "ok")
        with tap() as environment:
            return _run(sdk, directory, environment)


def _run(sdk: Sdk, directory: Path, environment: Mapping[str, str]) -> int:
    done: list[str] = []
    with (
        (directory / "complaints").open("w+") as complaints,
        subprocess.Popen(
            ends_with_us(*_found(sdk.run(directory))),
            cwd=directory,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        ) as program,
    ):
        assert program.stdout is not None
        try:
            for line in program.stdout:
                if line.rstrip().endswith(_OK):
                    done.append(line.rstrip().removesuffix(_OK))
                    _tell(sdk, done[-1], "ok")
                else:
                    _note(sdk, line.rstrip())
            code = program.wait()
        finally:
            program.kill()
        complaints.seek(0)
        left = [step for step in sdk.steps if step not in done]
        if code or left:
            raise Failed(left[0] if left else "end", complaints.read() or f"It ended with {code}, and without: {', '.join(left)}")
    return len(done)


def _found(command: Command) -> Command:
    """The command with its program's path, which is what a child of ours is started by."""
    program, *arguments = command
    return [shutil.which(program) or program, *arguments]


def _tell(sdk: Sdk, step: str, outcome: str) -> None:
    print(f"{sdk.name:<10} {step:<24} {outcome}", flush=True)


def _note(sdk: Sdk, text: str) -> None:
    print(f"{sdk.name:<10} {text}", flush=True)
