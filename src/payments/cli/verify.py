"""`tap verify`: proves the books."""

from rich.console import Console
from rich.status import Status

from payments.cli.data_directory import DataDirectory, UsageError
from payments.runtime.seal import FileKeyProvider, Sealer, SealError
from payments.storage.books import Check, Watch, examine
from payments.storage.database import connect


class _Shown(Watch):
    """Prints each check as it ends; on a terminal also which one is under way."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console = console
        self._status = status
        self._sentence = ""

    def begins(self, sentence: str) -> None:
        self._sentence = sentence
        self._status.update(f"{sentence} …")

    def proved(self, sealed: int, transfers: int) -> None:
        self._status.update(f"{self._sentence} … {sealed} of {transfers} transfers")

    def ended(self, check: Check) -> None:
        mark = "[red]✗[/red]" if check.findings else "[green]✓[/green]"
        self._console.print(f"{mark} {check.sentence} [dim]{check.seconds:.1f} s[/dim]")
        for finding in check.findings:
            self._console.print(f"    {finding}", markup=False)


async def run_verify(console: Console, directory: DataDirectory) -> int:
    """Print each check, and each finding; returns the exit status."""
    sealer = sealer_of(directory)
    with console.status("Connecting …") as status:
        async with connect(directory.run().database_url) as connection:
            books = await examine(connection, sealer, _Shown(console, status))
    summary = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in books.counts.items())
    console.print(f"{'The books are in order' if books.in_order else 'The books are not in order'}: {summary}.")
    return 0 if books.in_order else 1


def sealer_of(directory: DataDirectory) -> Sealer:
    """Return what signs with the data directory's key; raises `UsageError`."""
    try:
        return Sealer(FileKeyProvider(directory.envelope_key))
    except SealError as failure:
        raise UsageError(str(failure)) from None
