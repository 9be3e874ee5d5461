"""What must hold: some of it at every moment, all of it at the end."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from payments.acquirers.far_end.record import Record
from payments.storage.books import CHECKS
from payments.storage.sql import queries

Ask = Callable[..., list[Any]]

DONE_ONCE = "a key's request is done once"
ANSWERED_ALIKE = "a key's answers are the same"
REFUSED_WITHOUT_TRACE = "what was refused changed nothing"
RESOLVED = "every outcome becomes known once faults stop"
TOLD = "every event is delivered"
BALANCED = "debits and credits are equal at every commit"
BOUNDED = "captured ≤ authorized and refunded ≤ captured at every commit"
AGREED = "the acquirer's record is what the books say, to the cent"
UNDISTURBED = "nothing fails in a way that nobody expects"
BOOKS = "the books are in order"

_ANY_MOMENT = f"""
SELECT '{BALANCED}' AS broken, a.currency AS subject FROM ledger.balances b JOIN ledger.accounts a ON a.id = b.account_id
GROUP BY a.livemode, a.currency HAVING sum(b.debits_posted) <> sum(b.credits_posted) OR sum(b.debits_held) <> sum(b.credits_held)
UNION ALL
SELECT '{BOUNDED}', id FROM payments.charges WHERE amount_captured > amount OR amount_refunded > amount_captured
UNION ALL
SELECT '{BOUNDED}', id FROM payments.payment_intents WHERE amount_capturable + amount_received > amount
"""
_ORDERS = """
SELECT a.id AS reference, a.document ->> 'kind' AS kind, (a.document ->> 'amount')::bigint AS amount, a.document ->> 'currency' AS currency,
    c.document ->> 'acquirer' AS acquirer, coalesce(i.document ->> 'capture_method', 'automatic') AS capture_method, c.amount AS held, c.id AS charge
FROM payments.attempts a
JOIN payments.charges c ON c.merchant_id = a.merchant_id AND c.livemode = a.livemode AND c.id = a.document ->> 'charge'
JOIN payments.payment_intents i ON i.merchant_id = a.merchant_id AND i.livemode = a.livemode AND i.id = a.payment_intent
WHERE a.outcome ->> 'type' = 'approved' AND a.document ->> 'kind' <> 'refund_failure'
"""
_DONE_TWICE = """
SELECT idempotency_key, type, count(DISTINCT object_id) FROM payments.events
WHERE idempotency_key IS NOT NULL AND type IN ('payment_intent.created', 'refund.created', 'charge.captured', 'charge.succeeded', 'payment_intent.canceled')
GROUP BY idempotency_key, type HAVING count(*) > 1
"""
_TRACES = """
SELECT k.key FROM unnest($1::text[]) AS k (key)
WHERE EXISTS (SELECT FROM payments.idempotency_claims c WHERE c.key = k.key) OR EXISTS (SELECT FROM payments.events e WHERE e.idempotency_key = k.key)
"""
_OPEN = """
SELECT id, document ->> 'kind' AS kind, document ->> 'acquirer' AS acquirer FROM payments.attempts WHERE closed_at IS NULL
UNION ALL SELECT id, status, open_attempt FROM payments.payment_intents WHERE status = 'processing' OR open_attempt IS NOT NULL
UNION ALL SELECT id, status, NULL FROM payments.refunds WHERE status = 'pending'
UNION ALL SELECT id, 'expired hold', NULL FROM payments.payment_intents WHERE capture_before < extract(epoch FROM now())
UNION ALL SELECT id, 'funds that are due', NULL FROM payments.balance_transactions WHERE released_at IS NULL AND available_on < extract(epoch FROM now())
UNION ALL SELECT reference, 'notice', source FROM payments.notices WHERE look_at IS NOT NULL
UNION ALL SELECT id, 'dispute that nobody answered', NULL FROM payments.disputes WHERE answer_by < extract(epoch FROM now())
UNION ALL SELECT id, 'payout', status FROM payments.payouts WHERE status IN ('pending', 'in_transit')
"""
_UNTOLD = """
SELECT e.id, e.type FROM payments.events e LEFT JOIN notifications.deliveries d ON d.merchant_id = e.merchant_id AND d.livemode = e.livemode AND d.event_id = e.id
WHERE d.status IS DISTINCT FROM 'delivered'
UNION ALL SELECT event_id, type FROM notifications.outbox
"""


class Violation(Exception):
    """Something that must not be."""

    def __init__(self, invariant: str, detail: object) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant
        self.detail = str(detail)


@dataclass(slots=True)
class Ledger:
    """What clients were answered, by idempotency key."""

    answers: dict[str, str] = field(default_factory=dict[str, str])
    """Of what was done, or declined by the bank: the body."""
    refused: set[str] = field(default_factory=set[str])
    """Keys of which every answer was a refusal."""
    sent: Counter[str] = field(default_factory=Counter[str])
    """How many requests arrived under each key. A refusal keeps no key, so another of them may have been in time for what the first was too early for."""
    received: Counter[str] = field(default_factory=Counter[str])
    """Events that the merchant's receiver got."""

    def hear(self, key: str, status: int, body: bytes) -> None:
        """Take note of an answer; raises `Violation`."""
        if status in (200, 402):
            self.refused.discard(key)
            shown = body.decode()
            if self.answers.setdefault(key, shown) != shown:
                raise Violation(ANSWERED_ALIKE, f"{key}: {self.answers[key]} and {shown}")
        elif key not in self.answers:
            self.refused.add(key)


def at_any_moment(ask: Ask) -> None:
    """Raise `Violation` for what no commit may leave."""
    for row in ask(_ANY_MOMENT):
        raise Violation(row["broken"], row["subject"])


def books_in_order(ask: Ask) -> None:
    """Raise `Violation` for what `tap verify` would find; it may be asked at any time."""
    books = queries("books.sql")
    for check in CHECKS:
        for row in ask(books[check]):
            raise Violation(f"{BOOKS}: {check}", dict(row))


def open_work(ask: Ask) -> list[Any]:
    """Return what has no outcome yet, or wasn't told of yet."""
    return [*ask(_OPEN), *ask(_UNTOLD)]


def at_the_end(ask: Ask, ledger: Ledger, records: dict[str, Record]) -> None:
    """Raise `Violation`, now that nothing goes wrong any more and all that was begun had time to end."""
    for invariant, detail in _ending(ask, ledger, records):
        raise Violation(invariant, detail)


def _ending(ask: Ask, ledger: Ledger, records: dict[str, Record]) -> Iterator[tuple[str, object]]:
    books_in_order(ask)
    for row in ask(_OPEN):
        yield RESOLVED, dict(row)
    yield from _differences(ask(_ORDERS), records)
    for row in ask(_DONE_TWICE):
        yield DONE_ONCE, dict(row)
    for row in ask(_TRACES, sorted(key for key in ledger.refused if ledger.sent[key] == 1)):
        yield REFUSED_WITHOUT_TRACE, dict(row)
    for row in ask(_UNTOLD):
        yield TOLD, dict(row)
    for row in ask("SELECT id FROM payments.events"):
        if not ledger.received[row["id"]]:
            yield TOLD, f"{row['id']} is said to be, and wasn't"


def _differences(orders: list[Any], records: dict[str, Record]) -> Iterator[tuple[str, object]]:
    bank = {
        tuple(row)
        for row in records["bank"]._connection.execute(
            "SELECT reference, kind, amount, currency FROM orders WHERE approved AND NOT reversed"
        )
    }
    ours = {(each["reference"], each["kind"], each["amount"], each["currency"]) for each in orders if each["acquirer"] == "bank"}
    if bank != ours:
        yield AGREED, f"bank: only there {sorted(bank - ours)}, only here {sorted(ours - bank)}"
    # Over ISO 8583 a hold that is given up whole is one that is reversed, and a refund names no payment: so it is totals that are compared.
    host = Counter({(row["kind"], bool(row["claims"]), row["currency"]): row["amount"] for row in records["host"].totals()})
    here: Counter[Any] = Counter()
    at_host = [each for each in orders if each["acquirer"] == "host"]
    released = {each["charge"] for each in at_host if each["kind"] == "void" and each["amount"] == each["held"]}
    for each in at_host:
        if each["kind"] in ("authorize", "void") and each["charge"] in released:
            continue
        claims = each["kind"] == "capture" or (each["kind"] == "authorize" and each["capture_method"] != "manual")
        here[each["kind"], claims, each["currency"]] += each["amount"]
    if +host != +here:
        yield AGREED, f"host: there {dict(host - here)} more, here {dict(here - host)} more"


def event_id_of(body: str) -> str:
    """Return the id of the event that was delivered."""
    return msgspec.json.decode(body)["id"]
