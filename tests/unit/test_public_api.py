"""The route table says what may be called with what; the front door, the refusals and the page on the API agree with it."""

import re
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from payments.domain.errors import InvalidRequest
from payments.domain.resource import Resource
from payments.notification_service import destinations, webhook_endpoints
from payments.payment_api import (
    charges,
    customers,
    external_accounts,
    intent_params,
    payment_methods,
    prices,
    product_params,
    products,
    refunds,
    setup_intents,
)
from payments.payment_api.checkout import links, sessions
from payments.runtime.topology import Service, route
from payments.transaction_processor.money import disputes, payouts
from payments.wire.kind import Kind
from payments.wire.kinds import (
    BANK_ACCOUNT,
    CHARGE,
    CHECKOUT_SESSION,
    CUSTOMER,
    DESTINATION,
    DISPUTE,
    KINDS,
    PAYMENT_INTENT,
    PAYMENT_LINK,
    PAYMENT_METHOD,
    PAYOUT,
    PRICE,
    PRODUCT,
    REFUND,
    SETUP_INTENT,
    WEBHOOK_ENDPOINT,
)
from payments.wire.params import parse
from tests.benchmarks.reads import api
from tests.support.public_api import PAGE, endpoints, mounted, own, refused, with_tables
from tests.support.refusal_reasons import NOT_THERE, REASONS, reasons_for
from tests.support.stripe_parameters import TAKEN, of_stripe, of_tap

OF_OLDER_VERSIONS = {"payment_method_types"}
OF_STRIPES_BROWSER_CODE = {"payment_method_data[card]", "client_secret", "mandate_data[customer_acceptance][online][infer_from_client]"}
OWN: dict[str, set[str]] = {
    "POST /v1/payment_intents": OF_OLDER_VERSIONS | OF_STRIPES_BROWSER_CODE,
    "POST /v1/payment_intents/{id}": OF_OLDER_VERSIONS
    | OF_STRIPES_BROWSER_CODE
    | {"return_url", "off_session", "error_on_requires_action", "use_stripe_sdk", "mandate_data", "radar_options"},
    "POST /v1/payment_intents/{id}/confirm": OF_OLDER_VERSIONS | OF_STRIPES_BROWSER_CODE,
    "POST /v1/setup_intents": OF_OLDER_VERSIONS | OF_STRIPES_BROWSER_CODE,
    "POST /v1/setup_intents/{id}": OF_OLDER_VERSIONS | OF_STRIPES_BROWSER_CODE | {"return_url", "use_stripe_sdk"},
    "POST /v1/setup_intents/{id}/confirm": OF_OLDER_VERSIONS | OF_STRIPES_BROWSER_CODE | {"excluded_payment_method_types"},
    "POST /v1/charges": {"card"},
    # A page's own call takes these, too, and it is the same one.
    "POST /v1/test_helpers/confirmation_tokens": {
        "payment_method_data[card]",
        "shipping[carrier]",
        "shipping[tracking_number]",
        "use_stripe_sdk",
    },
    "POST /v1/checkout/sessions": OF_OLDER_VERSIONS,
    "POST /v1/customers": {"card", "shipping[carrier]", "shipping[tracking_number]"},
    "POST /v1/customers/{id}/sources": {"card"},
    "POST /v1/customers/{id}": {"card", "shipping[carrier]", "shipping[tracking_number]"},
}
"""What Tap takes although Stripe's description hasn't got it there."""

SEEN_TO: list[tuple[Kind[Any], type[Any], set[str]]] = [
    (CHARGE, charges._UpdateParams, {"fraud_details"}),
    (REFUND, refunds._UpdateParams, set()),
    (DISPUTE, disputes.UpdateParams, {"submit"}),
    (PAYOUT, payouts.UpdateParams, set()),
    (BANK_ACCOUNT, external_accounts.UpdateParams, set()),
    (CUSTOMER, customers._UpdateParams, {"card", "invoice_settings", "source"}),
    (PAYMENT_METHOD, payment_methods._CreateParams, {"type"}),
    (PAYMENT_METHOD, payment_methods._UpdateParams, set()),
    (PRODUCT, products._CreateParams, {"default_price_data"}),
    (PRODUCT, product_params.UpdateParams, set()),
    (PRICE, prices._CreateParams, {"billing_scheme", "product_data", "transfer_lookup_key"}),
    (PRICE, prices._UpdateParams, {"transfer_lookup_key"}),
    (WEBHOOK_ENDPOINT, webhook_endpoints._CreateParams, set()),
    (WEBHOOK_ENDPOINT, webhook_endpoints._UpdateParams, {"disabled"}),
    (DESTINATION, destinations._CreateParams, {"arn", "email", "type"}),
    (DESTINATION, destinations._UpdateParams, {"disabled"}),
    (CHECKOUT_SESSION, sessions._UpdateParams, set()),
    (
        PAYMENT_LINK,
        links._UpdateParams,
        {"after_completion", "restrictions", "shipping_address_collection"},
    ),
    (
        SETUP_INTENT,
        setup_intents._UpdateParams,
        {"payment_method_data", "payment_method_options", "payment_method_types", "use_stripe_sdk"},
    ),
    (
        PAYMENT_INTENT,
        intent_params.UpdateParams,
        {
            "payment_method_data",
            "payment_method_options",
            "payment_method_types",
            "off_session",
            "error_on_requires_action",
            "use_stripe_sdk",
        },
    ),
]
"""Parameters of which no field of the object takes the name: the operation itself sees to them."""

LISTS = ("line_items",)
"""Parameters that are lists of hashes."""


@pytest.mark.parametrize("service", Service)
def test_each_path_is_routed_to_the_service_that_mounts_it(service: Service) -> None:
    paths = {re.sub(r"{\w+}", "x_1", endpoint.path) for endpoint in mounted()[service]}
    assert {path: route(path) for path in paths} == dict.fromkeys(paths, service)


def test_no_operation_is_there_twice() -> None:
    operations = [endpoint.operation for endpoint in endpoints()]
    assert len(operations) == len(set(operations))


def test_the_page_on_the_api_says_what_the_code_does() -> None:
    """`python -m tests.support.public_api` writes its tables."""
    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page) == page


def test_no_parameter_is_misspelt() -> None:
    """What Stripe's description has not is said to be Tap's own, or of another version."""
    for endpoint in endpoints():
        assert set(own(endpoint)) <= OWN.get(endpoint.operation, set()), endpoint.operation


@pytest.mark.parametrize("endpoint", endpoints(), ids=lambda endpoint: endpoint.operation)
def test_what_stripe_takes_and_tap_does_not_is_refused_by_name(endpoint: Any) -> None:
    for name in refused(endpoint):
        path = re.findall(r"[^\[\]]+", name)
        given: dict[str, Any] = {path[-1]: "x"}
        for part in reversed(path[:-1]):
            given = {part: [given] if part in LISTS else given}
        at = re.sub(rf"\b({'|'.join(LISTS)})(\]?)\[", r"\1\2[0][", name)
        with pytest.raises(InvalidRequest) as refusal:
            parse(given, endpoint.params, endpoint.operation)
        assert (refusal.value.code, refusal.value.param) == ("parameter_unknown", at)
        assert refusal.value.message == f"The parameter {at} is not supported by Tap."


def test_whatever_is_refused_has_one_reason_and_each_reason_is_one_for_something() -> None:
    given: set[str] = set()
    for endpoint in endpoints():
        for name in refused(endpoint):
            reasons = reasons_for(endpoint.operation, name)
            assert len(reasons) == 1, (endpoint.operation, name, reasons)
            given |= {pattern for pattern in REASONS[reasons[0]] if re.fullmatch(pattern, name)}
    assert given == {pattern for patterns in REASONS.values() for pattern in patterns}


def test_every_operation_of_stripes_is_there_or_there_is_a_reason() -> None:
    """Of the resources that Tap has."""
    missing = of_stripe().keys() - {re.sub(r"{[^}]*}", "{}", endpoint.operation) for endpoint in endpoints()}
    given: set[str] = set()
    for operation in sorted(missing):
        reasons = [pattern for patterns in NOT_THERE.values() for pattern in patterns if re.fullmatch(pattern, operation)]
        assert len(reasons) == 1, (operation, reasons)
        given |= {*reasons}
    assert given == {pattern for patterns in NOT_THERE.values() for pattern in patterns}


def test_what_stripe_takes_is_as_its_sdk_says() -> None:
    """`python -m tests.support.stripe_parameters` writes it."""
    assert TAKEN.read_text(encoding="utf-8") == of_tap()


def test_a_typing_error_is_told_from_what_is_refused() -> None:
    (created,) = [each for each in endpoints() if each.operation == "POST /v1/customers"]
    mistyped: list[tuple[dict[str, Any], str]] = [({"emial": "x"}, "emial"), ({"shipping": {"nmae": "x"}}, "shipping[nmae]")]
    for given, name in mistyped:
        with pytest.raises(InvalidRequest, match=re.escape(f"Received unknown parameter: {name}")):
            parse(given, created.params, created.operation)


@pytest.mark.parametrize(("kind", "params", "seen_to"), SEEN_TO)
def test_each_parameter_of_an_update_has_its_effect(kind: Kind[Any], params: type[Any], seen_to: set[str]) -> None:
    names = {each.name for each in msgspec.structs.fields(params)}
    assert names - {each.name for each in msgspec.structs.fields(kind.noun.struct)} == seen_to


def test_each_kind_is_known_by_what_its_objects_say_that_they_are() -> None:
    for name, kind in KINDS.items():
        assert issubclass(kind.noun.struct, Resource)
        assert name == kind.noun.struct.OBJECT
        assert {each for expandable in kind.expandable.values() for each in expandable.kinds} <= KINDS.keys()


def test_the_bench_of_reads_asks_what_is_served() -> None:
    asked = api(None, cast("Any", SimpleNamespace(clock=None, sealer=None)))
    assert [each.operation for each in asked] == [each.operation for each in mounted()[Service.PAYMENT_API]]
