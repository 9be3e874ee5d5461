"""What is shown in a browser is text, whatever is in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from payments.pages.page import HEADERS, say, show
from payments.pages.words import words_of

MARKUP = "<script>alert('1')</script>\" onload=\"x"


@given(st.text())
def test_no_value_becomes_markup(text: str) -> None:
    body = bytes(say(text, text).body).decode(errors="surrogatepass")
    empty = bytes(say("", "").body).decode()
    assert (body.count("<"), body.count(">"), body.count('"')) == (empty.count("<"), empty.count(">"), empty.count('"'))


def test_every_value_of_every_page_is_escaped() -> None:
    for page in (say(MARKUP, MARKUP), show("challenge", title=MARKUP, amount=MARKUP, merchant=MARKUP, language="en", words=words_of("en"))):
        assert b"<script>" not in bytes(page.body)
        assert bytes(page.body).count(b"&lt;script&gt;") >= 2


def test_a_page_keeps_to_itself() -> None:
    page = say("Done", "It worked.", 409)
    assert page.status_code == 409
    assert HEADERS.items() <= {name.title(): value for name, value in page.headers.items()}.items()
    assert "script-src" not in page.headers["Content-Security-Policy"]


def test_a_page_without_one_of_its_values_is_a_mistake() -> None:
    with pytest.raises(UndefinedError):
        show("challenge", title="x")
