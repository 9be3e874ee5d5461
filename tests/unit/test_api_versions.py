"""Every version that is honoured sees every object in its own shape."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.domain.api_version import CALLS_ONLY, NEWEST, OLDEST, VERSIONS, check_version
from payments.domain.errors import InvalidRequest
from payments.payment_api.given_card import automatic_payment_methods
from payments.payment_api.intent_params import CreateParams, default_capture_method
from payments.wire.older_versions import CHANGES, encoded_in_version, in_version, is_newest_shape
from payments.wire.params import parse
from tests.support.rendered_samples import GOLDEN, rendered_in, samples, without_version
from tests.support.stripe_schema import violations

FIELDS: dict[str, dict[str, dict[str, list[str]]]] = json.loads(
    (Path(__file__).parents[1] / "data" / "stripe-fields-by-version.json").read_text()
)
GOLDENS: dict[str, dict[str, Any]] = json.loads(GOLDEN.read_text())


def of_version(known: dict[str, Any], version: str) -> Any:
    """The newest of what was known at `version`; None before the first."""
    return next((known[each] for each in sorted(known, reverse=True) if each <= version), None)


def objects_in(body: Any) -> list[dict[str, Any]]:
    """The API's objects in a body, however deep, but for what is the merchant's own."""
    match body:
        case dict():
            inner = [each for name, value in body.items() if name not in ("metadata", "previous_attributes") for each in objects_in(value)]
            return [body, *inner] if isinstance(body.get("object"), str) else inner
        case list():
            return [each for item in body for each in objects_in(item)]
        case _:
            return []


def wrong_fields(body: dict[str, Any], path: str, version: str) -> list[str]:
    """Which of the fields that this version's clients count on are missing, or null and may not be."""
    fields = of_version(FIELDS.get(path, {}), version) or {"never_null": [], "null_without_value": []}
    wrong = [f"{path}.{name} is missing" for name in fields["never_null"] + fields["null_without_value"] if name not in body]
    wrong += [f"{path}.{name} is null" for name in fields["never_null"] if body.get(name, "") is None]
    for name, value in body.items():
        if isinstance(value, dict) and not isinstance(value.get("object"), str):
            wrong += wrong_fields(value, f"{path}.{name}", version)
    return wrong


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_has_what_clients_of_its_version_count_on(version: str) -> None:
    for name, body in rendered_in(version).items():
        for each in objects_in(body):
            assert wrong_fields(each, each["object"], version) == [], name


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_what_it_was_read_to_be(version: str) -> None:
    """A change of these documents is a change of the API: `python -m tests.support.rendered_samples` writes them."""
    for name, body in rendered_in(version).items():
        assert without_version(body) == of_version(GOLDENS[name], version), name
        assert body.get("object") != "event" or body["api_version"] == version


def test_the_newest_version_is_stripes_own_description() -> None:
    for name, body in rendered_in(NEWEST).items():
        assert violations(body) == [], name
        assert body == json.loads(json.dumps(samples(NEWEST)[name])), "rendered as it is, without a change"


def test_versions_are_in_order_and_changes_go_back_from_the_newest() -> None:
    assert list(VERSIONS) == sorted(VERSIONS)
    assert [change.version for change in CHANGES] == sorted((change.version for change in CHANGES), reverse=True)
    assert all(change.version in VERSIONS and change.source for change in CHANGES)
    assert is_newest_shape(NEWEST)
    assert not is_newest_shape(OLDEST)


def test_nothing_of_a_merchants_own_is_taken_for_an_object() -> None:
    """Metadata may have a key `object`: it stays as it was written, in every version."""
    for name, body in rendered_in(OLDEST).items():
        for each in objects_in(body):
            assert each.get("metadata", {}) in ({}, {"object": "charge", "order": "1"}), name
        if "data" in body and "previous_attributes" in body["data"]:
            assert body["data"]["previous_attributes"] == {"description": "Order 0"}


def test_a_body_of_a_version_without_changes_is_not_even_parsed() -> None:
    assert encoded_in_version(b"not JSON", NEWEST) == b"not JSON"


def test_a_cancelled_hold_is_shown_as_refunded_until_basil() -> None:
    before, since = rendered_in("2025-02-24.acacia"), rendered_in("2025-03-31.basil")
    released = "charge whose hold was released"
    assert (before[released]["refunded"], before[released]["amount_refunded"]) == (True, 2000)
    assert (since[released]["refunded"], since[released]["amount_refunded"]) == (False, 0)
    expired = "payment_intent whose hold expired"
    assert (before[expired]["cancellation_reason"], since[expired]["cancellation_reason"]) == ("automatic", "expired")


def test_what_was_captured_of_a_hold_and_what_was_released_add_up_until_basil() -> None:
    before = rendered_in("2025-02-24.acacia")
    assert before["charge captured in part"]["amount_refunded"] == 1000, "500 returned, and 500 never captured"
    assert before["charge captured in part and more to come"]["amount_refunded"] == 500
    assert before["charge that is held"]["amount_refunded"] == before["charge that failed"]["amount_refunded"] == 0


@given(st.text(max_size=80))
def test_a_version_that_is_none_is_refused(name: str) -> None:
    if name not in VERSIONS:
        with pytest.raises(InvalidRequest, match="Invalid Stripe API version"):
            check_version(name)


@pytest.mark.parametrize("name", ["2020-03-02", "2015-10-16", "2011-01-01"])
def test_a_version_that_is_too_old_is_told_the_oldest(name: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{name}. Tap honours {OLDEST} and later"):
        check_version(name)
    with pytest.raises(InvalidRequest, match=f"{name}. Tap honours 2020-08-27 and later"):
        check_version(name, of_call=True)


@pytest.mark.parametrize("name", CALLS_ONLY)
def test_a_call_may_name_versions_that_no_event_is_in(name: str) -> None:
    assert check_version(name, of_call=True) == name < OLDEST
    with pytest.raises(InvalidRequest, match=f"{name}. Tap honours it in calls, and {OLDEST} and later here"):
        check_version(name)


@pytest.mark.parametrize(
    "name",
    [
        "2024-01-01",
        "2026-10-28",
        "2026-10-28.ENDIVE",
        "2024-06-20.acacia",
        "2022-11-15; beta=v1",
        "",
        "2022-1-1",
        "\u0662\u0660\u0662\u0662-11-14",
    ],
)
def test_a_version_that_never_was_is_refused_as_at_stripe(name: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        check_version(name)
    assert refusal.value.message == f"Invalid Stripe API version: {name}"


def created(version: str, **given: object) -> tuple[str, bool]:
    """How an intent is captured, and whether Tap chooses its payment methods."""
    params = parse({"amount": 100, "currency": "usd", **given}, CreateParams)
    methods = automatic_payment_methods(params, params.automatic_payment_methods, version)
    assert methods is None or methods.allow_redirects == "always"
    return params.capture_method or default_capture_method(version), methods is not None and methods.enabled


@pytest.mark.parametrize("version", VERSIONS)
def test_what_an_intent_does_by_default_follows_its_version(version: str) -> None:
    assert created(version) == ("automatic_async" if version >= "2024-04-10" else "automatic", version >= "2023-08-16")
    assert created(version, payment_method_types=["card"])[1] is False
    assert created(version, automatic_payment_methods={"enabled": False})[1] is False
    assert created(version, automatic_payment_methods={"enabled": True})[1] is True
    assert created(version, capture_method="manual")[0] == "manual"


def test_an_encoded_body_is_rendered_like_one_that_is_not() -> None:
    for body in samples(OLDEST).values():
        encoded = encoded_in_version(msgspec.json.encode(body), OLDEST)
        assert json.loads(encoded) == json.loads(json.dumps(in_version(body, OLDEST)))
