"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[Path, typer.Option("--data-dir", help="Where the database, the secrets and the logs are.")]
DATA_DIR = Path(".tap")

Environment = Annotated[str, typer.Option("--environment", "-e", help="dev, staging or prod; pr… for a preview.")]
Region = Annotated[str | None, typer.Option("--region", help="Of AWS; else AWS_REGION, or the profile's.")]
PollSeconds = Annotated[float, typer.Option(hidden=True, help="How often AWS is asked.", min=0.05)]
OnAws = Annotated[str | None, typer.Option("--environment", "-e", help="Of AWS, instead of what runs here.")]
