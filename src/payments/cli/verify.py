"""`tap verify`: proves the books."""

from rich.console import Console

from payments.cli.data_directory import DataDirectory
from payments.storage.books import CHECKS, count_checked, find_faults
from payments.storage.database import connect


async def run_verify(console: Console, directory: DataDirectory) -> int:
    """Print each check, and each finding; returns the exit status."""
    async with connect(directory.run().database_url) as connection:
        findings = await find_faults(connection)
        counts = await count_checked(connection)
    for name, sentence in CHECKS.items():
        found = [finding for finding in findings if finding.check == name]
        console.print(f"{'[red]✗[/red]' if found else '[green]✓[/green]'} {sentence}")
        for finding in found:
            console.print(f"    {finding.detail}")
    summary = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in dict(counts).items())
    console.print(f"{'The books are not in order' if findings else 'The books are in order'}: {summary}.")
    return 1 if findings else 0
