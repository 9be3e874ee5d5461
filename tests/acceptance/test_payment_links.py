"""Anybody buys from a payment link, each in a session of their own, which looking at it doesn't open."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from tests.acceptance.test_checkout import line, told
from tests.support.buying import CARD, DECLINED, SECURE, buy, look, send
from tests.support.paying import press, shaped


def make_link(client: stripe.StripeClient, **params: Any) -> Any:
    given: Any = {"line_items": [line()], **params}
    return shaped(client.v1.payment_links.create(given))


def sessions_of(client: stripe.StripeClient, link: Any, **filters: Any) -> list[Any]:
    params: Any = {"payment_link": link.id, "limit": 100, **filters}
    return shaped(client.v1.checkout.sessions.list(params)).data


def test_a_link_is_made_read_changed_and_listed(client: stripe.StripeClient) -> None:
    link = make_link(client, metadata={"a": "1"}, line_items=[line("Scarf"), line("Hat", 100, quantity=2)], submit_type="book")
    assert (link.active, link.currency, link.after_completion.type, link.submit_type) == (True, "usd", "hosted_confirmation", "book")
    assert [each.description for each in shaped(client.v1.payment_links.line_items.list(link.id)).data] == ["Scarf", "Hat"]
    changed = shaped(
        client.v1.payment_links.update(
            link.id,
            {
                "active": False,
                "inactive_message": "Sold to <you>",
                "metadata": {"b": "2"},
                "after_completion": {"type": "redirect", "redirect": {"url": "https://shop.example"}},
            },
        )
    )
    assert (changed.active, changed.metadata.to_dict(), changed.after_completion.redirect.url) == (
        False,
        {"a": "1", "b": "2"},
        "https://shop.example",
    )
    assert link.id in [each.id for each in shaped(client.v1.payment_links.list({"active": False, "limit": 100})).data]
    assert link.id not in [each.id for each in client.v1.payment_links.list({"active": True, "limit": 100}).data]
    assert told(client, link.id) == ["payment_link.created", "payment_link.updated"]
    read = shaped(client.v1.payment_links.retrieve(link.id, {"expand": ["line_items.data.price.product"]}))
    assert read.line_items.data[1].price.product.name == "Hat"
    gone = look(link.url)
    assert gone.status == 410
    assert "Sold to &lt;you&gt;" in gone.html


def test_looking_opens_nothing_and_buying_opens_one_session(client: stripe.StripeClient) -> None:
    redirect: Any = {"type": "redirect", "redirect": {"url": "https://shop.example/{CHECKOUT_SESSION_ID}"}}
    link = make_link(client, after_completion=redirect, metadata={"order": "7"}, payment_intent_data={"description": "By link"})
    for _ in range(20):
        assert look(link.url).button == "Pay $25.00"
    assert sessions_of(client, link) == []
    page = look(f"{link.url}?client_reference_id=cart-7&prefilled_email=who@example.com&utm_source=x")
    assert page.fields["email"] == "who@example.com"
    wrong = send(link.url, page, number="1", name="Ada")
    assert (wrong.status, wrong.fields["visit"]) == (422, page.fields["visit"])
    assert sessions_of(client, link) == []
    assert str(send(link.url, wrong, number="4242424242424242", exp="12/34", cvc="123").location).startswith("https://shop.example/cs_")
    (session,) = sessions_of(client, link, expand=["data.line_items", "data.payment_intent", "data.payment_link"])
    assert (session.status, session.client_reference_id, session.metadata["order"]) == ("complete", "cart-7", "7")
    assert (session.line_items.data[0].description, session.payment_intent.description) == ("Scarf", "By link")
    assert session.payment_link.id == link.id
    again = str(send(link.url, page, **CARD).location)
    assert str(look(again).location).startswith("https://shop.example/cs_"), "gone back, and pressed again"
    buy(link.url, email="other@example.com")
    assert len(sessions_of(client, link)) == 2


@pytest.mark.parametrize("number", ["4242424242424242", DECLINED])
def test_one_visit_sent_many_times_at_once_pays_once(client: stripe.StripeClient, number: str) -> None:
    link = make_link(client)
    page = look(link.url)
    with ThreadPoolExecutor(10) as pool:
        assert {answer.status for answer in pool.map(lambda _: send(link.url, page, **{**CARD, "number": number}), range(10))} == {303}
    (session,) = sessions_of(client, link)
    assert len(client.v1.charges.list({"payment_intent": session.payment_intent}).data) == 1


def test_a_confirmation_is_shown_where_the_merchant_has_no_page(client: stripe.StripeClient) -> None:
    confirmation: Any = {"type": "hosted_confirmation", "hosted_confirmation": {"custom_message": "See you <soon>"}}
    link = make_link(client, after_completion=confirmation)
    asked = str(buy(link.url, number=SECURE).location)
    done = look(press(asked, "complete"))
    assert done.status == 200
    assert "See you &lt;soon&gt;" in done.html
    assert "$25.00" in done.html


def test_a_limited_link_is_not_sold_more_often(client: stripe.StripeClient) -> None:
    link = make_link(client, restrictions={"completed_sessions": {"limit": 3}}, inactive_message="All gone")
    assert buy(link.url, number=DECLINED).status == 303
    pages = [look(link.url) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda page: send(link.url, page, **CARD), pages))
    for page in pages:  # who was told to try again does
        send(link.url, page, **CARD)
    assert len(sessions_of(client, link, status="complete")) == 3
    restrictions = shaped(client.v1.payment_links.retrieve(link.id)).restrictions
    assert (restrictions.completed_sessions.count, restrictions.completed_sessions.limit) == (3, 3)
    gone = look(link.url)
    assert gone.status == 410
    assert "All gone" in gone.html
    client.v1.payment_links.update(link.id, {"restrictions": {"completed_sessions": {"limit": 4}}})
    assert look(link.url).status == 200


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"line_items": []}, "line_items"),
        ({"line_items": [line()] * 21}, "line_items"),
        ({"line_items": [{"price_data": line()["price_data"]}]}, "line_items[0][quantity]"),
        ({"after_completion": {"type": "redirect"}}, "after_completion[redirect]"),
        ({"after_completion": {"type": "redirect", "redirect": {"url": "javascript:alert(1)"}}}, "after_completion[redirect][url]"),
        ({"restrictions": {"completed_sessions": {"limit": 0}}}, "restrictions[completed_sessions][limit]"),
        ({"allow_promotion_codes": True}, "allow_promotion_codes"),
    ],
)
def test_what_cannot_be_is_refused_by_name(client: stripe.StripeClient, params: dict[str, Any], param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        make_link(client, **params)
    assert refused.value.param == param
    link = make_link(client)
    with pytest.raises(stripe.InvalidRequestError, match="not be added"):
        client.v1.payment_links.update(link.id, {"restrictions": {"completed_sessions": {"limit": 1}}})
    for wrong in (f"{link.url}x", link.url.replace("/test/", "/live/"), link.url.replace("/1/", "/99999999999999999999/")):
        assert look(wrong).status == 404
