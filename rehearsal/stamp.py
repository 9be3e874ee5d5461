"""What was last rehearsed: a digest of each file that a rehearsal proves, committed, so that one without news can be left out.

`python -m rehearsal.stamp` exits with 0 when everything is as it was rehearsed, and else with 1 and what has changed. The stamp is what `sha256sum --check`
reads. Its first line is over all others, so that two branches that were rehearsed apart can't be merged into a stamp of what never was.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAMP = Path("rehearsal/rehearsed.sha256")
REHEARSED = (
    # the rehearsal itself, and what it deploys
    "rehearsal",
    "lib",
    "app.py",
    "cdk.json",
    "package.json",
    "package-lock.json",
    # what an operator deploys, releases and looks after it with
    "src/payments/cli/assembly.py",
    "src/payments/cli/aws",
    "src/payments/cli/cost.py",
    # the images
    "Dockerfile",
    ".dockerignore",
    "pyproject.toml",
    "requirements.txt",
    "requirements-build.txt",
    "requirements-dev.txt",
    "requirements-emulator.txt",
    # what a service does in a container only: its settings, secrets, certificates, logins and one-off tasks
    "src/payments/notification_service/__main__.py",
    "src/payments/payment_api/__main__.py",
    "src/payments/transaction_processor/__main__.py",
    "src/payments/runtime/alive.py",
    "src/payments/runtime/aws_role.py",
    "src/payments/runtime/aws_signature.py",
    "src/payments/runtime/health.py",
    "src/payments/runtime/keyring.py",
    "src/payments/runtime/loopback.py",
    "src/payments/runtime/own_certificate.py",
    "src/payments/runtime/secrets_manager.py",
    "src/payments/runtime/settings.py",
    "src/payments/runtime/topology.py",
    "src/payments/storage/__main__.py",
    "src/payments/storage/credentials.py",
    "src/payments/storage/database.py",
    "src/payments/storage/key_tasks.py",
    "src/payments/storage/logins.py",
    "src/payments/storage/migrate.py",
    "src/payments/storage/rds-global-bundle.pem",
)
"""Files, and directories with all that is in them. What `make test` proves as well without containers, as most of src/, isn't here."""


def fingerprint(root: Path = ROOT) -> str:
    """Return the stamp of what is there now; raises `FileNotFoundError` when what is listed isn't."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(root).as_posix()}\n" for path in _files(root)]
    return f"# {hashlib.sha256(''.join(lines).encode()).hexdigest()} over all lines below\n{''.join(lines)}"


def changed(root: Path = ROOT) -> list[str]:
    """Return what isn't as it was rehearsed: the paths of files that were changed, came or went, or the stamp's own."""
    now, stamped = fingerprint(root), _stamped(root)
    if stamped == now:
        return []
    lines = set(now.splitlines()[1:]) ^ set(stamped.splitlines()[1:])
    return sorted({line.partition("  ")[2] for line in lines}) or [STAMP.as_posix()]


def write(stamp: str, root: Path = ROOT) -> None:
    """Keep what was rehearsed: the fingerprint from before, since files may change meanwhile."""
    (root / STAMP).write_text(stamp, encoding="utf-8")


def _files(root: Path) -> Iterator[Path]:
    for name in REHEARSED:
        listed = root / name
        if not listed.exists():
            raise FileNotFoundError(f"{name} is listed in rehearsal/stamp.py, and isn't there")
        found = sorted(path for path in listed.rglob("*") if path.is_file()) if listed.is_dir() else [listed]
        yield from (path for path in found if path != root / STAMP and "__pycache__" not in path.parts)


def _stamped(root: Path) -> str:
    try:
        return (root / STAMP).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def main() -> None:
    """Tell whether anything has changed since it was rehearsed, or say that it was rehearsed as it is."""
    parser = argparse.ArgumentParser(prog="python -m rehearsal.stamp", description="Tell what has changed since it was rehearsed.")
    parser.add_argument("--write", action="store_true", help="say that what is here was rehearsed, as `make rehearse` does when it was")
    if parser.parse_args().write:
        write(fingerprint())
    elif differing := changed():
        sys.exit(f"Not as it was rehearsed: {', '.join(differing)}")


if __name__ == "__main__":
    main()
