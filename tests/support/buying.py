"""Buying on a page as somebody does whose browser runs no JavaScript: what is shown is read, what is typed is sent as a form."""

import re
import urllib.request
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin

GOOD = "4242 4242 4242 4242"
DECLINED = "4000 0000 0000 0002"
SECURE = "4000 0025 0000 3155"
CARD = {"number": GOOD, "exp": "12 / 34", "cvc": "123", "name": "Ada Lovelace", "email": "ada@example.com"}


@dataclass
class Page(HTMLParser):
    """What is on a page."""

    status: int
    html: str
    location: str | None = None
    headers: Any = None
    fields: dict[str, str] = field(default_factory=dict[str, str])
    inputs: dict[str, dict[str, str | None]] = field(default_factory=dict[str, dict[str, str | None]])
    action: str = ""
    tags: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        super().__init__()
        self._select = ""
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        name = given.get("name") or ""
        if tag == "form":
            self.action = given.get("action") or ""
        elif tag == "input":
            self.inputs[name] = given
            self.fields[name] = given.get("value") or ""
        elif tag == "select":
            self.inputs[name], self._select, self.fields[name] = given, name, ""
        elif tag == "option" and ("selected" in given or (len(self.fields[self._select]) == 0 and not given.get("value"))):
            self.fields[self._select] = given.get("value") or ""

    def texts(self, css_class: str) -> list[str]:
        """What stands in the paragraphs of a class that are shown."""
        return re.findall(rf'<p class="{css_class}"(?![^>]* hidden)[^>]*>(.*?)</p>', self.html)

    @property
    def button(self) -> str:
        found = re.search(r'<button class="primary"[^>]*>(.*?)</button>', self.html)
        return found[1] if found else ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def http_error_303(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:  # noqa: ARG002 - the library's signature
        return fp


_opener = urllib.request.build_opener(_NoRedirect)


def _ask(url: str, data: bytes | None, headers: dict[str, str]) -> Page:
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        answer = _opener.open(request, timeout=60)
    except HTTPError as refusal:
        answer = refusal
    with answer:
        return Page(answer.status or 0, answer.read().decode(), answer.headers.get("Location"), answer.headers)


def look(url: str, **headers: str) -> Page:
    """Open a page."""
    return _ask(url, None, headers)


def send(url: str, page: Page, **typed: str) -> Page:
    """Fill in the form of a page and send it, with what was in it already."""
    return _ask(urljoin(url, page.action), urlencode({**page.fields, **typed}).encode(), {})


def buy(url: str, **typed: str) -> Page:
    """Open a page, fill its form in, and send it."""
    return send(url, look(url), **{**CARD, **typed})
