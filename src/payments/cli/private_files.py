"""Files and directories that nobody but their owner may read, whatever the umask is and whatever rights they had before."""

import os
import tempfile
from pathlib import Path
from typing import BinaryIO

_DIRECTORY = 0o700
_FILE = 0o600


def make_private_directory(path: Path) -> None:
    """Make a directory, with its parents, that only its owner enters; one that is there is left as it is. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(_DIRECTORY)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        path.chmod(_DIRECTORY)  # an umask may have taken the owner's own rights


def write_private(path: Path, content: bytes) -> None:
    """Replace a file at once, readable by its owner only."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, _FILE)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # a key that was lost with the power would leave nothing that it sealed to be read
    Path(name).replace(path)


def open_private(path: Path, *, append: bool) -> BinaryIO:
    """Open a file for writing, readable by its owner only from its first byte on."""
    how = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_APPEND if append else os.O_TRUNC)
    descriptor = os.open(path, how, _FILE)
    os.fchmod(descriptor, _FILE)
    return os.fdopen(descriptor, "ab" if append else "wb")


def tighten(directory: Path, *private_directories: Path) -> None:
    """Take everybody else's rights from a directory, from those in it that are named, and from the files directly in them. Raises `OSError`."""
    for each in (directory, *private_directories):
        each.chmod(_DIRECTORY)
        for path in each.iterdir():
            if path.is_file() and not path.is_symlink():
                path.chmod(_FILE)
