"""Buyers pay on the hosted page, by plain form posts, and merchants see what became of it with the official SDK; every answer has Stripe's shape."""

import json
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.support.buying import DECLINED, SECURE, buy, look, send
from tests.support.paying import press, shaped
from tests.support.running_tap import RunningTap

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CDK = Path(__file__).parents[2] / ".venv/cdk/node_modules"
DONE = "https://shop.example/done?session={CHECKOUT_SESSION_ID}&a=b"


def line(name: str = "Scarf", amount: int = 2500, currency: str = "usd", quantity: int = 1) -> dict[str, Any]:
    return {"price_data": {"currency": currency, "unit_amount": amount, "product_data": {"name": name}}, "quantity": quantity}


def open_session(client: stripe.StripeClient, **params: Any) -> Any:
    defaults: dict[str, Any] = {"mode": "payment", "success_url": DONE, "line_items": [line()]}
    given = {name: value for name, value in {**defaults, **params}.items() if value is not None}
    return shaped(client.v1.checkout.sessions.create(given))  # pyright: ignore[reportArgumentType]


def read(client: stripe.StripeClient, session: Any, *expand: str) -> Any:
    return shaped(client.v1.checkout.sessions.retrieve(session.id, {"expand": list(expand)}))


def told(client: stripe.StripeClient, object_id: str) -> list[str]:
    events = shaped(client.v1.events.list({"limit": 100})).data
    return [event.type for event in reversed(events) if event.data.object["id"] == object_id]


def refusal(client: stripe.StripeClient, **params: Any) -> stripe.InvalidRequestError:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        open_session(client, **params)
    return refused.value


def test_a_buyer_pays(client: stripe.StripeClient) -> None:
    session = open_session(
        client,
        line_items=[line("Scarf", 1200, quantity=2), line("Hat", 100)],
        client_reference_id="cart-7",
        metadata={"order": "7"},
        payment_intent_data={"description": "Order 7", "metadata": {"order": "7"}, "statement_descriptor_suffix": "ORDER 7"},
    )
    assert (session.status, session.payment_status, session.amount_total, session.currency) == ("open", "unpaid", 2500, "usd")
    assert (session.payment_intent, session.ui_mode, session.client_reference_id) == (None, "hosted_page", "cart-7")
    page = look(session.url)
    assert page.button == "Pay $25.00"
    assert {name: page.inputs[name].get("autocomplete") for name in ("number", "exp", "cvc", "name", "email")} == {
        "number": "cc-number",
        "exp": "cc-exp",
        "cvc": "cc-csc",
        "name": "cc-name",
        "email": "email",
    }
    paid = buy(session.url)
    assert (paid.status, paid.location) == (303, f"https://shop.example/done?session={session.id}&a=b")
    session = read(client, session, "payment_intent.latest_charge", "line_items.data.price.product", "customer")
    assert (session.status, session.payment_status, session.url, session.customer) == ("complete", "paid", None, None)
    assert (session.customer_details.email, session.customer_details.name) == ("ada@example.com", "Ada Lovelace")
    intent = session.payment_intent
    assert (intent.status, intent.amount_received, intent.description, intent.metadata["order"]) == ("succeeded", 2500, "Order 7", "7")
    assert intent.latest_charge.billing_details.name == "Ada Lovelace"
    assert [each.price.product.name for each in session.line_items.data] == ["Scarf", "Hat"]
    assert [(each.quantity, each.amount_total) for each in shaped(client.v1.checkout.sessions.line_items.list(session.id)).data] == [
        (2, 2400),
        (1, 100),
    ]
    assert told(client, session.id) == ["checkout.session.completed"]
    assert told(client, intent.id) == ["payment_intent.created", "payment_intent.succeeded"]
    assert look((paid.location and session.url) or f"{page.action}").location == paid.location, "a page that was paid leads on again"


def test_a_decline_leaves_it_open_and_says_why(client: stripe.StripeClient) -> None:
    session = open_session(client)
    declined = buy(session.url, number=DECLINED)
    assert (declined.status, declined.location) == (303, session.url)
    page = look(session.url)
    assert page.texts("failure") == ["Your card was declined."]
    assert (page.fields["email"], page.fields["name"], page.fields["number"], page.fields["cvc"]) == (
        "ada@example.com",
        "Ada Lovelace",
        "",
        "",
    )
    after = read(client, session)
    assert (after.status, after.payment_status) == ("open", "unpaid")
    assert str(send(session.url, page, number="4242424242424242", exp="1234", cvc="123").location).startswith("https://shop.example/")
    after = read(client, session, "payment_intent")
    assert after.payment_intent.status == "succeeded"
    charges = shaped(client.v1.charges.list({"payment_intent": after.payment_intent.id})).data
    assert [each.status for each in charges] == ["succeeded", "failed"]


def test_what_is_wrong_is_said_beside_each_field(client: stripe.StripeClient) -> None:
    session = open_session(client)
    page = buy(session.url, number="4242 4242 4242 4241", exp="01/20", cvc="12", email="nobody", name="")
    assert page.status == 422
    for name in ("number", "exp", "cvc", "email", "name"):
        assert page.inputs[name]["aria-describedby"] == f"{name}-error"
        assert f'id="{name}-error"' in page.html
    assert page.fields["email"] == "nobody"
    assert "4242" not in page.html, "card data is never put back"
    assert read(client, session).payment_intent is None


def test_a_cardholder_authenticates_and_comes_back(client: stripe.StripeClient) -> None:
    session = open_session(client)
    asked = buy(session.url, number=SECURE).location
    assert asked is not None
    assert "/pay/authenticate/" in asked
    assert asked in look(session.url).html.replace("&amp;", "&"), "who lost the way finds it again"
    back = press(asked, "fail")
    assert back.startswith(session.url)
    assert look(back).texts("failure") == ["We are unable to authenticate your card. Please try again, or use another card."]
    asked = buy(session.url, number=SECURE).location
    assert str(look(press(str(asked), "complete")).location).startswith("https://shop.example/done")
    assert read(client, session).payment_status == "paid"


def test_a_payment_whose_buyer_never_comes_back_completes_the_session(client: stripe.StripeClient) -> None:
    session = open_session(client)
    press(str(buy(session.url, number=SECURE).location), "complete")
    for _ in range(600):  # nobody asks about the session: the job does
        if "checkout.session.completed" in told(client, session.id):
            break
        time.sleep(0.1)
    assert told(client, session.id) == ["checkout.session.completed"]


@pytest.mark.parametrize("number", ["4242424242424242", DECLINED])
def test_one_form_sent_many_times_at_once_pays_once(client: stripe.StripeClient, number: str) -> None:
    session = open_session(client)
    page = look(session.url)
    typed = {"number": number, "exp": "12/34", "cvc": "123", "name": "Ada", "email": "ada@example.com"}
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: send(session.url, page, **typed), range(12)))
    assert {answer.status for answer in answers} == {303}
    send(session.url, page, **typed)  # back, and again
    session = read(client, session)
    assert len(client.v1.charges.list({"payment_intent": session.payment_intent}).data) == 1
    assert len([each for each in told(client, session.id) if each == "checkout.session.completed"]) == (number != DECLINED)


def test_a_card_is_kept_in_setup_mode(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"email": "grace@example.com"}).id
    session = open_session(client, mode="setup", line_items=None, customer=customer, setup_intent_data={"metadata": {"a": "1"}})
    page = look(session.url)
    assert (page.button, "grace@example.com" in page.html, "email" in page.fields) == ("Save card", True, False)
    buy(session.url, number=DECLINED)
    assert look(session.url).texts("failure") == ["Your card was declined."]
    press(str(buy(session.url, number=SECURE).location), "complete")
    assert str(look(session.url).location).startswith("https://shop.example/")
    session = read(client, session, "setup_intent")
    assert (session.status, session.payment_status, session.amount_total) == ("complete", "no_payment_required", None)
    intent = session.setup_intent
    assert (intent.status, intent.metadata["a"], intent.customer) == ("succeeded", "1", customer)
    assert [each.id for each in client.v1.customers.payment_methods.list(customer).data] == [intent.payment_method]
    assert told(client, session.id) == ["checkout.session.completed"]


@pytest.mark.parametrize("number", ["4242424242424242", DECLINED])
def test_a_card_is_kept_once_however_often_the_form_is_sent(client: stripe.StripeClient, number: str) -> None:
    session = open_session(client, mode="setup", line_items=None, customer_creation="always")
    page = look(session.url)
    typed = {"number": number, "exp": "12/34", "cvc": "123", "name": "Ada", "email": "ada@example.com"}
    with ThreadPoolExecutor(6) as pool:
        assert {answer.status for answer in pool.map(lambda _: send(session.url, page, **typed), range(6))} == {303}
    session = read(client, session)
    assert len(client.v1.setup_attempts.list({"setup_intent": session.setup_intent}).data) == 1
    if number != DECLINED:
        assert len(client.v1.customers.payment_methods.list(session.customer).data) == 1


def test_a_customer_is_made_where_that_is_asked_for_or_their_card_is_kept(client: stripe.StripeClient) -> None:
    for asked in ({"customer_creation": "always"}, {"payment_intent_data": {"setup_future_usage": "off_session"}}):
        session = open_session(client, **asked)
        buy(session.url, number=DECLINED)
        buy(session.url)
        session = read(client, session, "customer", "payment_intent")
        assert (session.customer.email, session.customer.name) == ("ada@example.com", "Ada Lovelace")
        assert session.payment_intent.customer == session.customer.id
        kept = client.v1.customers.payment_methods.list(session.customer.id).data
        assert len(kept) == ("payment_intent_data" in asked)


def test_what_the_merchant_wants_to_know_is_asked_for(client: stripe.StripeClient) -> None:
    session = open_session(
        client,
        billing_address_collection="required",
        phone_number_collection={"enabled": True},
        shipping_address_collection={"allowed_countries": ["AT", "DE"]},
        submit_type="donate",
        customer_email="given@example.com",
        custom_text={"submit": {"message": "<b>Thank you</b>"}, "shipping_address": {"message": "No boxes"}},
    )
    page = look(session.url)
    assert page.button == "Donate $25.00"
    assert "&lt;b&gt;Thank you&lt;/b&gt;" in page.html
    assert "email" not in page.fields
    places = {
        f"{prefix}{name}": value
        for prefix in ("billing_", "shipping_")
        for name, value in {"line1": "Ring 1", "city": "Graz", "country": "AT", "postal_code": "8010"}.items()
    }
    typed = {**places, "phone": "+43 316 1234", "shipping_name": "Grace"}
    assert buy(session.url, **{**typed, "shipping_country": "US"}).inputs["shipping_country"]["aria-invalid"] == "true"
    assert buy(session.url, **{**typed, "phone": "call me"}).inputs["phone"]["aria-invalid"] == "true"
    assert str(buy(session.url, **typed).location).startswith("https://shop.example/")
    session = read(client, session, "payment_intent.payment_method")
    details, shipping = session.customer_details, session.collected_information.shipping_details
    assert (details.email, details.phone, details.address.city) == ("given@example.com", "+43 316 1234", "Graz")
    assert (shipping.name, shipping.address.line1) == ("Grace", "Ring 1")
    assert session.payment_intent.shipping.name == "Grace"
    assert session.payment_intent.payment_method.billing_details.address.postal_code == "8010"


def test_a_hold_completes_the_session_unpaid(client: stripe.StripeClient) -> None:
    session = open_session(client, payment_intent_data={"capture_method": "manual"})
    buy(session.url)
    session = read(client, session, "payment_intent")
    assert (session.status, session.payment_status, session.payment_intent.status) == ("complete", "unpaid", "requires_capture")


def test_an_expired_session_takes_no_payment(client: stripe.StripeClient) -> None:
    session = open_session(client, cancel_url="https://shop.example/cart")
    assert 'href="https://shop.example/cart"' in look(session.url).html
    buy(session.url, number=DECLINED)
    page = look(session.url)
    expired = shaped(client.v1.checkout.sessions.expire(session.id))
    assert (expired.status, expired.url) == ("expired", None)
    assert client.v1.payment_intents.retrieve(expired.payment_intent).status == "canceled"
    assert told(client, session.id) == ["checkout.session.expired"]
    late = send(session.url, page, number="4242424242424242", exp="12/34", cvc="123")
    assert late.status == 303
    gone = look(session.url)
    assert gone.status == 410
    assert "expired" in gone.html
    assert "https://shop.example/cart" in gone.html
    for call in (client.v1.checkout.sessions.expire,):
        with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
            call(session.id)


def test_who_comes_late_may_begin_anew_where_the_merchant_allows_it(client: stripe.StripeClient) -> None:
    session = open_session(client, after_expiration={"recovery": {"enabled": True}})
    assert session.after_expiration.recovery.url is None
    expired = shaped(client.v1.checkout.sessions.expire(session.id))
    url = expired.after_expiration.recovery.url
    sessions = client.v1.checkout.sessions.list({"limit": 1}).data[0].id
    page = look(url)
    assert client.v1.checkout.sessions.list({"limit": 1}).data[0].id == sessions, "looking stores nothing"
    assert str(send(url, page, number="4242424242424242", exp="12/34", cvc="123", name="Ada", email="a@b.example").location).startswith(
        "https"
    )
    again = shaped(client.v1.checkout.sessions.list({"limit": 1, "expand": ["data.line_items"]})).data[0]
    assert (again.recovered_from, again.status, again.amount_total) == (session.id, "complete", 2500)
    assert again.line_items.data[0].description == "Scarf"


def test_sessions_are_listed_by_what_they_are_about(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"email": "list@example.com"}).id
    session = open_session(client, customer=customer)
    other = open_session(client)
    buy(session.url)
    intent = read(client, session).payment_intent

    def listed(**filters: Any) -> list[str]:
        params: Any = {"limit": 100, **filters}
        return [each.id for each in shaped(client.v1.checkout.sessions.list(params)).data]

    assert listed(customer=customer) == [session.id]
    assert listed(payment_intent=intent) == [session.id]
    assert listed(customer_details={"email": "list@example.com"}) == [session.id]
    assert session.id in listed(status="complete")
    assert session.id not in listed(status="open")
    assert other.id in listed(status="open")
    assert session.id in listed(created={"gte": session.created})
    updated = shaped(client.v1.checkout.sessions.update(session.id, {"metadata": {"seen": "yes"}}))
    assert updated.metadata.to_dict() == {"seen": "yes"}


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"success_url": "javascript:alert(1)"}, "success_url"),
        ({"success_url": "data:text/html,x"}, "success_url"),
        ({"success_url": "https:///nowhere"}, "success_url"),
        ({"success_url": "https://shop.example/\nSet-Cookie: a=b"}, "success_url"),
        ({"success_url": None}, "success_url"),
        ({"cancel_url": "vbscript:x"}, "cancel_url"),
        ({"mode": "subscription"}, "mode"),
        ({"ui_mode": "embedded_page"}, "success_url"),
        ({"ui_mode": "embedded_page", "success_url": None}, "return_url"),
        ({"ui_mode": "embedded_page", "success_url": None, "return_url": DONE, "redirect_on_completion": "never"}, "return_url"),
        ({"ui_mode": "embedded_page", "success_url": None, "return_url": "javascript:alert(1)"}, "return_url"),
        ({"return_url": DONE}, "return_url"),
        ({"redirect_on_completion": "always"}, "redirect_on_completion"),
        ({"ui_mode": "custom"}, "ui_mode"),
        ({"line_items": None}, "line_items"),
        ({"line_items": [line()] * 101}, "line_items"),
        ({"line_items": [line(amount=99_999_999), line()]}, "line_items"),
        ({"line_items": [line(amount=999_999_999_999, quantity=999_999)]}, "line_items"),
        ({"line_items": [line(quantity=0)]}, "line_items[0][quantity]"),
        ({"line_items": [line(quantity=1_000_000)]}, "line_items[0][quantity]"),
        ({"line_items": [line(amount=49)]}, "line_items"),
        ({"line_items": [line(), line(currency="eur")]}, "line_items[1][price_data][currency]"),
        ({"line_items": [line()], "currency": "eur"}, "line_items[0][price_data][currency]"),
        ({"line_items": [line(currency="xyz")]}, "line_items[0][price_data][currency]"),
        ({"line_items": [{"quantity": 1}]}, "line_items[0][price]"),
        ({"line_items": [{"price": "price_none", "quantity": 1}]}, "line_items[0][price]"),
        ({"line_items": [{**line(), "adjustable_quantity": {"enabled": True}}]}, "line_items[0][adjustable_quantity]"),
        ({"expires_at": 1}, "expires_at"),
        ({"expires_at": 9_999_999_999}, "expires_at"),
        ({"customer": "cus_none"}, "customer"),
        ({"customer_email": "nobody"}, "customer_email"),
        ({"locale": "tlh"}, "locale"),
        ({"payment_method_types": ["card"]}, "payment_method_types"),
        ({"mode": "setup"}, "line_items"),
        ({"setup_intent_data": {"description": "x"}}, "setup_intent_data"),
        ({"payment_intent_data": {"statement_descriptor": "123456"}}, "statement_descriptor"),
        ({"shipping_address_collection": {"allowed_countries": ["Austria"]}}, "shipping_address_collection[allowed_countries][0]"),
        ({"discounts": [{"coupon": "x"}]}, "discounts"),
        ({"subscription_data": {"description": "x"}}, "subscription_data"),
    ],
)
def test_what_cannot_be_is_refused_by_name(client: stripe.StripeClient, params: dict[str, Any], param: str) -> None:
    assert refusal(client, **params).param == param


def test_prices_on_file_are_bought_as_they_are(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "Tea"})
    price: Any = {
        "currency": "eur",
        "product": product.id,
        "unit_amount_decimal": "33.5",
        "transform_quantity": {"divide_by": 3, "round": "up"},
    }
    tea = client.v1.prices.create(price)
    session = open_session(client, line_items=[{"price": tea.id, "quantity": 7, "metadata": {"a": "1"}}])
    assert (session.amount_total, session.currency) == (101, "eur"), "three packs, and half a cent up"
    client.v1.prices.update(tea.id, {"active": False})
    assert refusal(client, line_items=[{"price": tea.id, "quantity": 1}]).param == "line_items[0][price]"
    chosen = client.v1.prices.create({"currency": "eur", "product": product.id, "custom_unit_amount": {"enabled": True}})
    assert refusal(client, line_items=[{"price": chosen.id, "quantity": 1}]).param == "line_items[0][price]"


@pytest.mark.parametrize(
    ("name", "amount", "currency", "shown"),
    [
        ("<script>alert('1')</script>\" onload=\"x", 2500, "usd", "$25.00"),
        ("x" * 200, 99_999_999, "usd", "$999,999.99"),
        ("Ünïcödé \u202e reversed", 99_999_999, "jpy", "¥99,999,999"),
        ("{{ 7 * 7 }} {% raw %}", 99_999_990, "kwd", "KWD\N{NO-BREAK SPACE}99,999.990"),
    ],
)
def test_whatever_is_sold_is_shown_as_text_and_paid(client: stripe.StripeClient, name: str, amount: int, currency: str, shown: str) -> None:
    session = open_session(client, line_items=[line(name, amount, currency)])
    page = look(session.url)
    assert page.button == f"Pay {shown}"
    assert page.tags.count("script") == 1
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert str(buy(session.url).location).startswith("https://shop.example/")


def test_amounts_are_in_the_buyers_language(client: stripe.StripeClient) -> None:
    session = open_session(client, line_items=[line(amount=123_456, currency="eur")])
    assert look(session.url, **{"Accept-Language": "de-DE,de;q=0.9"}).button == "1.234,56\N{NO-BREAK SPACE}€ zahlen"
    assert look(session.url, **{"Accept-Language": "x" * 5_000}).button == "Pay €1,234.56"
    english = open_session(client, line_items=[line(amount=123_456, currency="eur")], locale="en")
    assert look(english.url, **{"Accept-Language": "de"}).button == "Pay €1,234.56"


def test_the_page_is_in_the_buyers_language_and_so_is_why_a_card_was_declined(client: stripe.StripeClient) -> None:
    session = open_session(client, locale="de")
    buy(session.url, number="4000 0000 0000 9995")
    page = look(session.url, **{"Accept-Language": "fr"})
    assert '<html lang="de">' in page.html
    assert page.texts("failure") == ["Ihre Karte ist nicht ausreichend gedeckt."]
    assert page.button == "25,00\N{NO-BREAK SPACE}$ zahlen"


def test_a_buyer_has_a_receipt_that_nobody_can_guess(client: stripe.StripeClient) -> None:
    session = open_session(client, line_items=[line("Scarf & <b>Hat</b>", 1200, quantity=2), line("Hat", 100)])
    buy(session.url)
    intent = read(client, session, "payment_intent.latest_charge").payment_intent
    charge = intent.latest_charge
    page = look(charge.receipt_url)
    for text in ("Scarf &amp; &lt;b&gt;Hat&lt;/b&gt;", "$25.00", "$24.00", "Qty 2, $12.00 each", "Visa ending in 4242", charge.id):
        assert text in page.html, text
    assert "Refunded" not in page.html
    shaped(client.v1.refunds.create({"charge": charge.id, "amount": 500}))
    german = look(charge.receipt_url, **{"Accept-Language": "de-AT"})
    assert '<html lang="de">' in german.html
    assert "Erstattet</dt><dd>$\N{NO-BREAK SPACE}5,00</dd>" in german.html
    address, _, secret = charge.receipt_url.rpartition("/")
    for wrong in (f"{address}/x", f"{address}/{secret[:-1]}", charge.receipt_url.replace("/test/", "/live/"), f"{address}/{secret}%00"):
        assert look(wrong).status == 404, wrong


def test_a_hold_is_called_one_on_its_receipt(client: stripe.StripeClient) -> None:
    intent = shaped(
        client.v1.payment_intents.create(
            {"amount": 999, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True, "capture_method": "manual",
             "description": "Room 7", "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}, "expand": ["latest_charge"]}
        )
    )  # fmt: skip
    url = intent.latest_charge.receipt_url
    page = look(url)
    assert "Amount held" in page.html
    assert "Room 7" in page.html
    client.v1.payment_intents.cancel(intent.id)
    assert "This hold was released: nothing was charged." in look(url).html


def test_an_embedded_session_is_shown_in_other_pages_and_tells_them_when_it_is_paid(client: stripe.StripeClient) -> None:
    session = open_session(client, ui_mode="embedded_page", success_url=None, redirect_on_completion="never")
    assert (session.url, session.ui_mode, session.redirect_on_completion) == (None, "embedded_page", "never")
    base = look(open_session(client).url)
    assert "frame-ancestors 'none'" in base.headers["Content-Security-Policy"]
    found = re.fullmatch(r"(cs_\w+?)_secret_(test)_(\d+)_([\w-]+)", session.client_secret)
    assert found is not None
    url = f"{open_session(client).url.partition('/pay/')[0]}/pay/c/test/{found[3]}/{found[1]}/{found[4]}"
    for page in (look(url), buy(url, number="4"), look(buy(url).location or "")):
        assert "frame-ancestors" not in page.headers["Content-Security-Policy"]
        assert 'class="embedded"' in page.html
    assert 'data-completes data-leads-to=""' in look(url).html
    assert read(client, session).client_secret is None


def test_an_address_that_is_not_quite_right_shows_nothing(client: stripe.StripeClient) -> None:
    session = open_session(client)
    for wrong in (session.url[:-1], session.url[:-1] + "_", session.url.replace("/test/", "/live/"), session.url.replace("/1/", "/2/")):
        assert look(wrong).status == 404
    assert buy(session.url, number="4" * 20_000).status == 413


def test_one_session_sees_a_bounded_number_of_cards(client: stripe.StripeClient) -> None:
    session = open_session(client)
    for _ in range(5):
        assert buy(session.url, number=DECLINED).status == 303
    refused = buy(session.url)
    assert (refused.status, refused.texts("failure")) == (
        429,
        ["Several cards were declined. Please wait 10 minutes before you try another one."],
    )
    assert 0 < int(refused.headers["Retry-After"]) <= 600
    assert read(client, session).payment_status == "unpaid"


def test_the_sdk_for_node_does_the_same(tap: RunningTap, tmp_path: Path) -> None:
    if not CDK.exists():
        pytest.skip("npm's stripe isn't set up: make cdk")
    status = tap.status()
    (tmp_path / "node_modules").symlink_to(CDK)
    (tmp_path / "shop.mjs").write_text(f"""
import Stripe from "stripe";
const stripe = new Stripe("{status["secret_key"]}", {{ host: "127.0.0.1", port: {tap.port}, protocol: "http" }});
const line_items = [{{ price_data: {{ currency: "usd", unit_amount: 500, product_data: {{ name: "Tea" }} }}, quantity: 2 }}];
const session = await stripe.checkout.sessions.create({{ mode: "payment", success_url: "https://shop.example", line_items }});
const lines = await stripe.checkout.sessions.listLineItems(session.id);
const expired = await stripe.checkout.sessions.expire(session.id);
const link = await stripe.paymentLinks.create({{ line_items }});
console.log(JSON.stringify([session.amount_total, lines.data.length, expired.status, link.active]));
""")
    done = subprocess.run([f"{sys.prefix}/bin/node", "shop.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1000, 2 - 1, "expired", True]


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_a_browser_takes_the_page_as_it_is(client: stripe.StripeClient, tmp_path: Path) -> None:
    """Its own style and script run, and nothing in the page is against its policy."""
    session = open_session(client)
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=390,900",
        "--enable-logging=stderr",
        "--virtual-time-budget=2000",
    ]
    command = [str(CHROMIUM), *options, f"--user-data-dir={tmp_path}", "--dump-dom", session.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert '<details class="details">' in done.stdout, "on a phone the script closes what is bought"
    assert "Content Security Policy" not in done.stderr
