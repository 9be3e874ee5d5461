"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

DataDir = Annotated[Path, typer.Option("--data-dir", help="Where the database, the secrets and the logs are.")]
DATA_DIR = Path(".tap")

Environment = Annotated[str, typer.Option("--environment", "-e", help="dev, staging or prod; pr… for a preview.")]
Region = Annotated[str | None, typer.Option("--region", help="Of AWS; else AWS_REGION, or the profile's.")]
PollSeconds = Annotated[float, typer.Option(hidden=True, help="How often AWS is asked.", min=0.05)]
OnAws = Annotated[str | None, typer.Option("--environment", "-e", help="Of AWS, instead of what runs here.")]


class DefaultGroup(TyperGroup):
    """Commands of which one needn't be named: its arguments stand where another's name would."""

    default = ""
    """What that one is called."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name in, where the first argument is no command's."""
        if not args or args[0] not in {*self.commands, *self.get_help_option_names(ctx)}:
            args = [self.default, *args]
        return super().parse_args(ctx, args)
