"""How the `tap` command was typed, so that a hint can be typed as well."""

import shlex
import shutil
import sys
from pathlib import Path

_NAME = "tap"


def typed(*arguments: object) -> str:
    """Return a command line for a shell that runs this very `tap` with `arguments`."""
    return shlex.join([*_program(), *(str(argument) for argument in arguments)])


def same_program() -> list[str]:
    """Return a command that starts this program again, in the same way, so that its hints are the same."""
    return [sys.executable, "-m", "payments.cli"] if _is_module() else [sys.executable, sys.argv[0]]


def _program() -> list[str]:
    if _is_module():
        return [sys.executable, "-m", "payments.cli"]
    script, found = Path(sys.argv[0]), shutil.which(_NAME)
    if script.name == _NAME and script.exists() and not (found is not None and Path(found).samefile(script)):
        return [sys.argv[0]]
    return [_NAME]


def _is_module() -> bool:
    return Path(sys.argv[0]).name == "__main__.py"
