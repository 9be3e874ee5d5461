"""`tap routing`: which acquirer gets a payment, and which did."""

import datetime
from collections.abc import Mapping
from pathlib import Path

from payments.acquirers.configuration import ConfigurationError, configured, read
from payments.acquirers.routing import Considered, Facts
from payments.cli.data_directory import DataDirectory, UsageError
from payments.domain.attempt import Attempt
from payments.domain.card import Pan
from payments.domain.errors import CardError, NoAcquirer
from payments.storage.attempts import attempts_of
from payments.storage.database import connect


def facts_of(
    *,
    livemode: bool,
    amount: int | None,
    currency: str | None,
    card: str | None,
    iin: str | None,
    brand: str | None,
    country: str | None,
    account: str | None,
    payment: str | None,
) -> Facts:
    """Return what a payment would be routed by; raises `UsageError`, which never shows the card's number."""
    if card is not None and iin is not None:
        raise UsageError("--card and --bin say the same: give one of them.")
    if iin is not None and not (iin.isascii() and iin.isdigit() and 2 <= len(iin) <= 8):
        raise UsageError("--bin takes two to eight digits.")
    try:
        pan = None if card is None else Pan(card)
    except CardError:
        raise UsageError("--card: that is no card number.") from None
    return Facts(
        livemode=livemode,
        account=account,
        currency=None if currency is None else currency.lower(),
        amount=amount,
        brand=brand or (None if pan is None else pan.brand) or (None if iin is None else brand_of(iin)),
        iin=(iin or "") if pan is None else pan.iin,
        country=None if country is None else country.upper(),
        payment=payment,
    )


def brand_of(iin: str) -> str:
    """Return the brand of cards that begin so."""
    return Pan.stored(iin.ljust(15 if iin.startswith(("34", "37")) else 16, "0")).brand


def explain(facts: Facts, file: Path | None, environment: Mapping[str, str]) -> list[str]:
    """Return, line by line, what is found of each rule; raises `UsageError` for a configuration that is wrong."""
    try:
        routes = (read(file) if file is not None else configured(environment)).routes
    except ConfigurationError as mistake:
        raise UsageError(str(mistake)) from None
    try:
        return [f"{number}. {_told(each)}" for number, each in enumerate(routes.explain(facts), 1)]
    except NoAcquirer as refusal:
        raise UsageError(f"No rule applies. {refusal}") from None


def _told(considered: Considered) -> str:
    decision = considered.decision
    name = considered.rule or "without a rule, the first acquirer that takes it"
    if decision is None:
        return f"{name}: no, {considered.reason}"
    goes = f"→ {decision.acquirer}" + "".join(f", then {each}" for each in decision.fallbacks)
    if decision.retry_declines:
        goes += f" (the next also after {', '.join(decision.retry_declines)})"
    return f"{name}: {goes}" if considered.share is None else f"{name}: {considered.share:g} % of payments {goes}; of the others:"


async def show(directory: DataDirectory, payment_intent: str) -> list[str]:
    """Return, line by line, where the attempts of a payment went and why; raises `UsageError` when it has none."""
    async with connect(directory.run().database_url) as connection:
        found = await attempts_of(connection, payment_intent)
    if not found:
        raise UsageError(f"There is no attempt on {payment_intent}.")
    return [line for attempt, outcome in found for line in _shown(attempt, outcome)]


def _shown(attempt: Attempt, outcome: str | None) -> list[str]:
    why = f"by rule {attempt.route}" if attempt.route else "without a rule"
    return [
        f"{attempt.id} {attempt.kind}, {_time(attempt.created)}, {why}",
        *(f"  {_time(each.at)} not with {each.acquirer}: {each.reason}" for each in attempt.tried),
        f"  with {attempt.acquirer}: {outcome or 'no outcome yet'}",
    ]


def _time(unix_seconds: int) -> str:
    return datetime.datetime.fromtimestamp(unix_seconds, datetime.UTC).isoformat(timespec="seconds")
