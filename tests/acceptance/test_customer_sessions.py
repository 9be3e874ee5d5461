"""What a customer's browser sees and does of their cards with a customer session: what it was made for, and of nobody else's."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
import stripe

from tests.support.paying import shaped
from tests.support.running_tap import RunningTap


def a_customer(client: stripe.StripeClient, *cards: tuple[str, str]) -> Any:
    customer = shaped(client.v1.customers.create({}))
    for name, redisplay in cards:
        method = shaped(client.v1.payment_methods.attach(name, {"customer": customer.id}))
        client.v1.payment_methods.update(method.id, {"allow_redisplay": redisplay})  # pyright: ignore[reportArgumentType]
    return customer


def a_session(client: stripe.StripeClient, customer: str, **features: Any) -> Any:
    given = {f"payment_method_{name}": value for name, value in features.items()}
    element: Any = {"enabled": True, "features": given} if given else {"enabled": True}
    return shaped(client.v1.customer_sessions.create({"customer": customer, "components": {"payment_element": element}}))


def ask(tap: RunningTap, secret: str, below: str = "", **params: str) -> tuple[int, Any]:
    """What a page's script asks, with a publishable key."""
    status = tap.status()
    form = urlencode({"client_secret": secret, **params})
    url = f"{status['base_url']}/v1/customer_sessions/{secret.partition('_secret_')[0]}{below}"
    headers = {"Authorization": f"Bearer {status['publishable_key']}"}
    request = Request(url, form.encode(), headers) if below else Request(f"{url}?{form}", headers=headers)
    try:
        with urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)


def shown(tap: RunningTap, session: Any) -> list[str]:
    _, body = ask(tap, session.client_secret)
    return [method["card"]["last4"] for method in body["payment_methods"]]


CARDS = (("pm_card_visa", "always"), ("pm_card_mastercard", "limited"), ("pm_card_amex", "unspecified"))


@pytest.mark.parametrize(
    ("features", "cards"),
    [
        ({}, []),
        ({"redisplay": "enabled"}, ["4242"]),
        ({"redisplay": "enabled", "allow_redisplay_filters": ["limited", "unspecified"]}, ["0005", "4444"]),
        ({"redisplay": "enabled", "allow_redisplay_filters": ["always", "limited"], "redisplay_limit": 1}, ["4444"]),
        ({"redisplay": "disabled", "remove": "enabled"}, []),
    ],
)
def test_a_customer_sees_the_cards_that_they_may(client: stripe.StripeClient, tap: RunningTap, features: Any, cards: list[str]) -> None:
    customer = a_customer(client, *CARDS)
    session = a_session(client, customer.id, **features)
    assert session.expires_at == session.created + 1800
    assert shown(tap, session) == cards


def test_a_browser_sees_nothing_but_what_it_shows(client: stripe.StripeClient, tap: RunningTap) -> None:
    session = a_session(client, a_customer(client, CARDS[0]).id, redisplay="enabled")
    _, body = ask(tap, session.client_secret)
    assert "client_secret" not in body
    (method,) = body["payment_methods"]
    assert {"fingerprint", "metadata"}.isdisjoint({*method, *method["card"]})


def test_a_card_is_taken_away_where_that_is_allowed_and_it_is_shown(client: stripe.StripeClient, tap: RunningTap) -> None:
    customer = a_customer(client, *CARDS)
    methods = {each.card.last4: each.id for each in shaped(client.v1.customers.payment_methods.list(customer.id)).data}
    looking = a_session(client, customer.id, redisplay="enabled")
    assert ask(tap, looking.client_secret, "/detach", payment_method=methods["4242"])[0] == 400
    session = a_session(client, customer.id, redisplay="enabled", remove="enabled")
    assert ask(tap, session.client_secret, "/detach", payment_method=methods["4444"])[0] == 400, "it isn't shown"
    status, body = ask(tap, session.client_secret, "/detach", payment_method=methods["4242"])
    assert (status, body["customer"]) == (200, None)
    assert shown(tap, session) == []
    assert ask(tap, session.client_secret, "/detach", payment_method=methods["4242"])[0] == 400


def test_who_has_no_secret_sees_nothing(client: stripe.StripeClient, tap: RunningTap) -> None:
    secret = a_session(client, a_customer(client, CARDS[0]).id, redisplay="enabled").client_secret
    for wrong in (f"{secret[:-1]}x", secret + "0", f"{secret.partition('_secret_')[0]}_secret_"):
        status, body = ask(tap, wrong)
        assert (status, body["error"]["param"]) == (400, "client_secret")
    assert ask(tap, "cuss_0_secret_0")[0] == 404


@pytest.mark.parametrize(
    ("components", "param"),
    [
        ({}, "components"),
        ({"payment_element": {"enabled": True, "features": {"payment_method_redisplay_limit": 11}}}, "payment_method_redisplay_limit"),
        ({"pricing_table": {"enabled": True}}, "pricing_table"),
    ],
)
def test_what_is_no_component_is_refused(client: stripe.StripeClient, components: Any, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.customer_sessions.create({"customer": a_customer(client).id, "components": components})
    assert param in str(refused.value.param)
