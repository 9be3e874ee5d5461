"""Pages: templates beside this module, into which every value is put escaped, with the header fields that keep them to themselves.

Sources: OWASP, "Content Security Policy" and "Cross Site Scripting Prevention".
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import idna
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

_ALONE = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"{_ALONE}; style-src 'unsafe-inline'; img-src data:",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of each page, and of what leads on from one."""
_HOST = re.compile(r"[a-z0-9.-]+")


def show(template: str, status: int = 200, *, title: str, headers: Mapping[str, str] = HEADERS, **values: Any) -> HTMLResponse:
    """Show a page: `NAME.html` with its values; raises `jinja2.UndefinedError` for one that isn't given."""
    body = _environment().get_template(f"{template}.html").render(title=title, source=_own, **values)
    # A lone half of a character, which no browser sends, can't be encoded.
    return HTMLResponse(body.encode("utf-8", "replace"), status, headers)


def written(template: str, **values: Any) -> str:
    """Return what isn't shown in a browser: `NAME.html` with its values escaped, or `NAME.txt` with them as they are."""
    return _environment().get_template(template).render(**values)


def say(title: str, text: str, status: int = 200, *, language: str = "en") -> HTMLResponse:
    """Show a page with one sentence."""
    return show("sentence", status, title=title, text=text, language=language)


def headers_of_form(*urls: str, style: str = "", embedded: bool = False) -> dict[str, str]:
    """Return the header fields of a checkout page. Its own style and script, and the merchant's `style`, are named by what is in them, so that nothing else is
    taken for them; its form may be sent to us alone, and we may lead on from there to the origins of `urls`.
    """
    targets = " ".join(dict.fromkeys(["'self'", *map(_origin, urls)]))
    styles = " ".join([_hash("checkout.css"), *([digest_of(style)] if style else [])])
    scripts = " ".join(map(_hash, ("checkout.js", "embedded.js") if embedded else ("checkout.js",)))
    policy = f"{_ALONE}; style-src {styles}; script-src {scripts}; img-src data:; form-action {targets}"
    return {**HEADERS, "Content-Security-Policy": policy}


def headers_of_end() -> dict[str, str]:
    """Return the header fields of the last page of an embedded session, which tells the page that it is in."""
    return {**HEADERS, "Content-Security-Policy": f"{HEADERS['Content-Security-Policy']}; script-src {_hash('embedded.js')}"}


def _origin(url: str) -> str:
    """Return a URL's origin as a policy names it: where that can't be said in a policy, its scheme."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except idna.IDNAError:
            host = ""
    if not _HOST.fullmatch(host):
        return f"{parts.scheme}:"
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


@cache
def _hash(name: str) -> str:
    return digest_of(_source(name))


def digest_of(text: str) -> str:
    """Return how a policy names what stands in a page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _source(name: str) -> str:
    return files("payments.pages").joinpath(name).read_text(encoding="utf-8").strip()


@cache
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(_source),
        autoescape=_is_escaped,  # noqa: S701 - whatever has tags in it is escaped
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _is_escaped(template: str | None) -> bool:
    return template is None or not template.endswith(".txt")


def _own(name: str) -> Markup:
    """Put one of our own files into a page as it is."""
    return Markup(_source(name))  # noqa: S704 - it is a file of this package, not a value
