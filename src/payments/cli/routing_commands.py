"""The arguments of `tap routing`."""

import asyncio
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from payments.cli.arguments import DATA_DIR, DataDir
from payments.cli.data_directory import DataDirectory


class Mode(StrEnum):
    """Which payments are meant."""

    LIVE = "live"
    TEST = "test"


def routing_app() -> typer.Typer:
    """Return the commands about which acquirer gets a payment."""
    app = typer.Typer(no_args_is_help=True, help="Which acquirer gets a payment: the rules of acquirers.toml, named by TAP_ACQUIRERS.")

    @app.command("explain")
    def explain(
        amount: Annotated[int | None, typer.Option(help="Minor units.", min=0)] = None,
        currency: Annotated[str | None, typer.Option(help="As eur.")] = None,
        card: Annotated[str | None, typer.Option(help="A card's number, which is printed nowhere; --bin doesn't need one.")] = None,
        bin_: Annotated[str | None, typer.Option("--bin", help="The first digits of a card's number.")] = None,
        brand: Annotated[str | None, typer.Option(help="As visa; else what the number says.")] = None,
        country: Annotated[str | None, typer.Option(help="Of the card's issuer, as DE; else what [card_countries] says.")] = None,
        merchant: Annotated[str | None, typer.Option(help="The merchant's account, acct_….")] = None,
        payment: Annotated[str | None, typer.Option(help="The payment intent, which shares of payments are told by.")] = None,
        mode: Annotated[Mode, typer.Option(help="Of the payment.")] = Mode.LIVE,
        file: Annotated[Path | None, typer.Option(help="The configuration; else what TAP_ACQUIRERS names.")] = None,
    ) -> None:
        """Say which acquirer gets a payment, rule by rule. Nobody is asked: an acquirer that is away now is passed over when the payment is made."""
        from payments.cli.routing import explain, facts_of

        facts = facts_of(
            livemode=mode is Mode.LIVE,
            amount=amount,
            currency=currency,
            card=card,
            iin=bin_,
            brand=brand,
            country=country,
            account=merchant,
            payment=payment,
        )
        for line in explain(facts, file, os.environ):
            print(line)

    @app.command("show")
    def show(
        payment_intent: Annotated[str, typer.Argument(help="Its id, pi_….")],
        data_dir: DataDir = DATA_DIR,
    ) -> None:
        """Show where the attempts of a payment went, for whom they were meant before, and why."""
        from payments.cli.routing import show

        for line in asyncio.run(show(DataDirectory(data_dir), payment_intent)):
            print(line)

    return app
