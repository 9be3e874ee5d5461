"""Runs the `tap` command: `python -m payments.cli`."""

from payments.cli.main import main

main()
