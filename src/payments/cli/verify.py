"""`tap verify`: proves the books."""

from rich.console import Console

from payments.cli.data_directory import DataDirectory
from payments.storage.books import examine
from payments.storage.database import connect


async def run_verify(console: Console, directory: DataDirectory) -> int:
    """Print each check, and each finding; returns the exit status."""
    async with connect(directory.run().database_url) as connection:
        books = await examine(connection)
    for check in books.checks:
        console.print(f"{'[red]✗[/red]' if check.findings else '[green]✓[/green]'} {check.sentence}")
        for finding in check.findings:
            console.print(f"    {finding}")
    summary = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in books.counts.items())
    console.print(f"{'The books are in order' if books.in_order else 'The books are not in order'}: {summary}.")
    return 0 if books.in_order else 1
