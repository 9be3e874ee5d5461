"""What `expand` names becomes an object, where there is one; everything else is as it was, or is refused before anything happens."""

from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest

from payments.domain.api_version import CALLS_ONLY, NEWEST, VERSIONS
from payments.domain.balance_transaction import BalanceTransaction
from payments.domain.card import Card
from payments.domain.charge import Charge, ChargeOutcome
from payments.domain.customer import Customer
from payments.domain.errors import InvalidRequest
from payments.domain.principal import KeyKind, Principal
from payments.domain.refund import Refund
from payments.storage.database import Queries
from payments.wire.expansion import DEPTH_MAX, OBJECTS_MAX, PATHS_MAX, Expansion, tree_of
from payments.wire.kinds import KINDS
from payments.wire.render_people import Rendered
from payments.wire.rendering import rendered
from tests.support.stripe_schema import schema, violations

NOW = 1_800_000_000
MERCHANT = Principal(merchant_id=1, livemode=False, kind=KeyKind.SECRET, account_id="acct_1", key_id="key_1", api_version=NEWEST)
CARD = Card(brand="visa", last4="4242", exp_month=12, exp_year=2034, fingerprint="f")


class Stored:
    """A database that holds some objects."""

    def __init__(self, *subjects: Any) -> None:
        self.subjects = {subject.id: subject for subject in subjects}
        self.questions = 0
        self.owners: set[tuple[int, bool]] = set()
        """Whose objects were asked for."""

    async def fetch(self, _query: str, *args: Any) -> list[dict[str, Any]]:
        self.questions += 1
        merchant, livemode, values, *limit = args
        self.owners.add((merchant, livemode))
        if limit:
            refunds = [each for each in reversed(self.subjects.values()) if isinstance(each, Refund) and each.charge in values]
            return [{"value": each.charge, "document": msgspec.json.encode(each)} for each in refunds][: limit[0]]
        return [{"id": each, "document": msgspec.json.encode(self.subjects[each])} for each in values if each in self.subjects]


def a_charge(**changes: Any) -> Charge:
    outcome = ChargeOutcome(network_status="approved_by_network", seller_message="Payment complete.", type="authorized")
    given: dict[str, Any] = {"id": "ch_1", "payment_intent": "pi_1", "payment_method": "pm_1", "card": CARD, "outcome": outcome, **changes}
    return Charge(merchant_id=1, livemode=False, created=NOW, amount=100, currency="usd", status="succeeded", paid=True, **given)


def a_refund(number: int = 1, **changes: Any) -> Refund:
    given: dict[str, Any] = {"id": f"re_{number}", "charge": "ch_1", "status": "succeeded", **changes}
    return Refund(merchant_id=1, livemode=False, created=NOW, amount=1, currency="usd", payment_intent="pi_1", **given)


def a_customer(**changes: Any) -> Customer:
    return Customer(id="cus_1", merchant_id=1, livemode=False, created=NOW, **changes)


async def expanded(subject: Any, *paths: str, stored: Stored | None = None) -> Rendered:
    body = rendered(subject, NOW)
    await Expansion(cast("Queries", stored or Stored()), MERCHANT, NOW).expand([body], tree_of(str(body["object"]), paths, NEWEST))
    return body


@pytest.mark.parametrize(
    ("kind", "field"), [(name, field) for name, kind in KINDS.items() for field, expandable in kind.expandable.items() if expandable.kinds]
)
async def test_only_the_callers_own_objects_are_asked_for(kind: str, field: str) -> None:
    """An id of another merchant's, or of the other mode, stays one."""
    stored, expandable = Stored(), KINDS[kind].expandable[field]
    *outer, leaf = field.split(".")
    body: Rendered = {leaf: f"{KINDS[expandable.kinds[0]].noun.prefix}_1"}
    for part in reversed(outer):
        body = {part: body}
    body |= {"object": kind, "id": "x_1"}
    given = msgspec.json.encode(body)
    await Expansion(cast("Queries", stored), MERCHANT, NOW).expand(
        [body], tree_of(kind, [field], CALLS_ONLY[0] if expandable.gone else NEWEST)
    )
    assert stored.owners == {(MERCHANT.merchant_id, MERCHANT.livemode)}
    assert expandable.listed or msgspec.json.encode(body) == given


SHOWN_WHEN_ASKED = {
    "checkout.session": ("total_details.breakdown",),
    "customer": ("cash_balance", "invoice_credit_balance", "tax"),
    "item": ("discounts", "taxes"),
    "price": ("currency_options", "tiers"),
}
"""Fields without an id, of which Stripe's reference says that they are expandable, and its description, as it is trimmed here, doesn't."""
OF_CUSTOMERS = {"default_source", "source", "sources"}
"""Fields that show what a customer pays from: the bank accounts that there are are merchants'."""


_OUR_OWN = "/v1/notifications/"
"""What Stripe hasn't got."""


def expandable_fields(name: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Field by field what Stripe's schema of an object lets be expanded, and into which of the objects that Tap has."""

    def walk(part: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, frozenset[str]]]:
        for name in part.get("x-expandableFields", ()):
            leaf = part["properties"][name]
            resources = leaf.get("x-expansionResources", {}).get("oneOf", [])
            items = leaf.get("properties", {}).get("data", {}).get("items", {})
            named = [each["$ref"].rpartition("/")[2] for each in (*resources, items, *items.get("anyOf", ())) if "$ref" in each]
            of_customers = {"bank_account"} if name in OF_CUSTOMERS else set()
            yield ".".join((*path, name)), (frozenset(named) & KINDS.keys()) - of_customers
        for name, below in part.get("properties", {}).items():
            for each in (below, *below.get("anyOf", ())):
                yield from walk(each, (*path, name))

    return walk(schema(name), ())


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if not kind.path.startswith(_OUR_OWN)])
def test_what_can_be_expanded_is_what_stripes_schema_says(name: str) -> None:
    embedded = {"price.product": frozenset({"product"})} if name == "item" else {}  # a line shows its whole price
    ours = KINDS[name].expandable_in(NEWEST)
    assert {path: frozenset(each.kinds) for path, each in ours.items()} == (
        dict(expandable_fields(name)) | embedded | dict.fromkeys(SHOWN_WHEN_ASKED.get(name, ()), frozenset[str]())
    )


@pytest.mark.parametrize("name", KINDS)
async def test_an_expanded_object_keeps_stripes_shape(name: str) -> None:
    """Whatever is null or absent stays so, lists that Tap has nothing for are empty."""
    subjects = (
        a_charge(),
        a_refund(),
        a_customer(),
        BalanceTransaction(
            id="txn_1", merchant_id=1, livemode=False, created=NOW, amount=1, currency="usd", type="charge", source="ch_1", available_on=NOW
        ),
    )
    for subject in subjects:
        body = rendered(subject, NOW)
        if body["object"] == name:
            assert violations(await expanded(subject, *KINDS[name].expandable_in(NEWEST))) == []


async def test_the_refunds_of_a_charge_are_a_list_of_the_newest_ten() -> None:
    refunds = [a_refund(number) for number in range(1, 13)]
    body: Any = await expanded(a_charge(), "refunds.data.charge.refunds", stored=Stored(a_charge(), *refunds))
    listed = body["refunds"]
    assert [refund["id"] for refund in listed["data"]] == [f"re_{number}" for number in range(12, 2, -1)]
    assert (listed["object"], listed["url"], listed["has_more"]) == ("list", "/v1/charges/ch_1/refunds", True)
    assert listed["data"][0]["charge"]["refunds"]["data"][0]["id"] == "re_12"
    assert (await expanded(a_charge(), "refunds"))["refunds"] == {
        "object": "list",
        "data": [],
        "has_more": False,
        "url": "/v1/charges/ch_1/refunds",
    }


@pytest.mark.parametrize("named", ["foo", "pm_gone", "pm", "cus_1", "_", "txn_1"])
async def test_an_id_that_names_nothing_stays_an_id(named: str) -> None:
    body: Any = await expanded(
        a_customer(default_payment_method=named), "invoice_settings.default_payment_method", stored=Stored(a_customer())
    )
    assert body["invoice_settings"]["default_payment_method"] == named


async def test_a_field_that_is_absent_stays_absent() -> None:
    assert "failure_balance_transaction" not in await expanded(a_refund(), "failure_balance_transaction.source")


async def test_a_deleted_customer_is_expanded_to_what_is_left_of_it() -> None:
    gone = Stored(a_customer(deleted=True))
    body = await expanded(a_refund(customer="cus_1"), "customer.invoice_settings.default_payment_method", "customer.sources", stored=gone)
    assert body["customer"] == {"id": "cus_1", "object": "customer", "deleted": True}


async def test_of_what_tap_does_not_have_anything_may_be_asked() -> None:
    assert (await expanded(a_charge(), "review.payment_intent.customer"))["review"] is None


async def test_paths_that_begin_alike_are_read_once() -> None:
    stored = Stored(a_charge(customer="cus_1"), a_customer())
    await expanded(a_refund(), "charge", "charge.customer", "charge.customer", "charge.balance_transaction", stored=stored)
    assert stored.questions == 2


@pytest.mark.parametrize(
    "path",
    [
        "nothing",
        "",
        ".",
        "data",
        "id",
        "metadata.order",
        "customer.email",
        "refunds.charge",
        "refunds.",
        "refunds.data.nothing",
        "customer.",
        "charge",
        "x" * 5_000,
    ],
)
def test_what_cannot_be_expanded_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        tree_of("charge", [path], NEWEST)
    assert refused.value.param == "expand"
    assert len(refused.value.message) < 400


@pytest.mark.parametrize("path", ["customer", "has_more", "data", "data.", "database.customer", "data.data.customer"])
def test_the_paths_of_a_list_begin_with_data(path: str) -> None:
    with pytest.raises(InvalidRequest):
        tree_of("charge", [path], NEWEST, in_list=True)


@pytest.mark.parametrize("kind", ["event", "webhook_endpoint"])
def test_an_object_without_ids_to_expand_refuses_all(kind: str) -> None:
    with pytest.raises(InvalidRequest):
        tree_of(kind, ["data.object"], NEWEST)


def test_expansion_is_four_levels_deep_lists_not_counted() -> None:
    tree_of("payment_intent", ["data.latest_charge.refunds.data.balance_transaction.source"], NEWEST, in_list=True)
    with pytest.raises(InvalidRequest, match=f"more than {DEPTH_MAX} levels"):
        tree_of("payment_intent", ["data.latest_charge.refunds.data.balance_transaction.source.customer"], NEWEST, in_list=True)


def test_the_number_of_paths_has_a_bound() -> None:
    tree_of("charge", ["customer"] * PATHS_MAX, NEWEST)
    with pytest.raises(InvalidRequest):
        tree_of("charge", ["customer"] * (PATHS_MAX + 1), NEWEST)


async def test_the_number_of_objects_has_a_bound() -> None:
    refunds = [a_refund(number) for number in range(10)]
    bodies = [rendered(a_charge(), NOW) for _ in range(100)]
    expansion = Expansion(cast("Queries", Stored(a_charge(), *refunds)), MERCHANT, NOW)
    with pytest.raises(InvalidRequest, match=f"more than {OBJECTS_MAX} objects"):
        await expansion.expand(bodies, tree_of("charge", ["refunds.data.charge.refunds.data.charge"], NEWEST))


@pytest.mark.parametrize(
    ("kind", "path", "gone"),
    [
        ("payment_intent", "invoice.customer", "2025-03-31.basil"),
        ("payment_intent", "latest_charge.invoice", "2025-03-31.basil"),
        ("charge", "invoice", "2025-03-31.basil"),
        ("charge", "dispute", "2023-08-16"),
        ("charge", "destination", "2023-08-16"),
    ],
)
@pytest.mark.parametrize("version", VERSIONS)
def test_what_an_older_version_has_may_be_expanded_in_it(kind: str, path: str, gone: str, version: str) -> None:
    if version < gone:
        tree_of(kind, [path], version)
        return
    with pytest.raises(InvalidRequest):
        tree_of(kind, [path], version)
