"""What a commit's statement is made of."""

import re

import msgspec
import pytest

from payments.domain.attempt import Attempt
from payments.domain.charge import Charge
from payments.domain.checkout import CheckoutSession, PaymentLink
from payments.domain.customer import Customer
from payments.domain.payment_intent import PaymentIntent
from payments.domain.payment_method import PaymentMethod
from payments.domain.refund import Refund
from payments.storage import commit, versions
from payments.storage.columns import Columns, array

REMEMBERED_BYTES_MAX = 15 * 1024
"""A longer statement is prepared anew each time. Source: asyncpg, `connect`, max_cacheable_statement_size."""
BEGUN = (
    "claims",
    "created_intents",
    "changed_intents",
    "created_payment_methods",
    "changed_payment_methods",
    "created_refunds",
    "counted_refunds",
    "created_customers",
    "changed_sessions",
    "changed_links",
    "attempts",
    "events",
)
SETTLED = ("advanced", "changed_refunds", "created_charges", "changed_charges", "balance_transactions", "transfers", "events")


BEGUN_FROM: tuple[versions.Target, ...] = (
    *((kind, versions.Strength.SHARE) for kind in (Customer, PaymentMethod, PaymentIntent, Charge, Refund)),
    *((kind, versions.Strength.UPDATE) for kind in (PaymentMethod, PaymentIntent, Charge, CheckoutSession, PaymentLink)),
)
SETTLED_FROM: tuple[versions.Target, ...] = (
    (versions.KeptCustomer, versions.Strength.SHARE),
    *((kind, versions.Strength.UPDATE) for kind in (PaymentMethod, PaymentIntent, Charge, Refund, Attempt)),
)
"""What each commit compares."""


@pytest.mark.parametrize(
    ("statement", "locks", "parts"), [(commit.BEGIN, BEGUN_FROM, BEGUN), (commit.SETTLE, SETTLED_FROM, SETTLED)], ids=["begin", "settle"]
)
def test_the_longest_statement_is_remembered_by_the_driver(
    statement: commit.Statement, locks: tuple[versions.Target, ...], parts: tuple[str, ...]
) -> None:
    assert len(commit._text(statement, locks, parts).encode()) < REMEMBERED_BYTES_MAX


def test_every_part_is_of_one_of_the_statements() -> None:
    assert {*BEGUN, *SETTLED} == {*commit.PARTS}


@pytest.mark.parametrize(("statement", "parts"), [(commit.BEGIN, BEGUN), (commit.SETTLE, SETTLED)])
def test_each_parameter_is_taken_once_and_in_order(statement: commit.Statement, parts: tuple[str, ...]) -> None:
    text = commit._text(statement, tuple(versions.LOCKS), parts)
    taken = [int(number) for number in re.findall(r"json_to_recordset\(\$(\d+)::json\)", text)]
    assert sorted(taken) == [*range(1, 2 + len(versions.LOCKS) + len(parts))]


@pytest.mark.parametrize(("statement", "parts"), [(commit.BEGIN, BEGUN), (commit.SETTLE, SETTLED)])
def test_a_part_without_rows_is_no_part(statement: commit.Statement, parts: tuple[str, ...]) -> None:
    for part in parts:
        others = tuple(each for each in parts if each != part)
        assert len(commit._text(statement, (), others)) < len(commit._text(statement, (), parts))
    assert "json_to_recordset($2" not in commit._text(statement, (), ())


class _Owner(msgspec.Struct):
    name: str


class _Thing(msgspec.Struct):
    id: str
    amount: int
    owner: _Owner


def test_a_row_has_the_subjects_attributes_its_document_and_what_is_given() -> None:
    columns = Columns("id text, amount bigint, owner.name text", "unit text", document=True)
    assert columns.source(3) == "json_to_recordset($3::json) AS n (id text, amount bigint, name text, document json, unit text)"
    thing = _Thing("a\x00\x1f\"'", 2**62, _Owner(""))
    (row,) = msgspec.json.decode(array([columns.row(thing, "req_1")]))
    assert row == {"id": thing.id, "amount": 2**62, "name": "", "document": msgspec.to_builtins(thing), "unit": "req_1"}


def test_a_row_may_have_one_attribute() -> None:
    assert Columns("id text").row(_Thing("att_1", 1, _Owner("b"))) == b'{"id":"att_1"}'


def test_a_row_with_too_little_or_too_much_is_refused() -> None:
    columns = Columns("id text", "unit text")
    for given in ((), ("one", "two")):
        with pytest.raises(TypeError):
            columns.row(_Thing("a", 1, _Owner("b")), *given)
