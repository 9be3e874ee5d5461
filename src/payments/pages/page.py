"""Pages: templates beside this module, into which every value is put escaped, in one frame and with the header fields that keep them to themselves.

Sources: OWASP, "Content Security Policy" and "Cross Site Scripting Prevention".
"""

import html
from functools import cache
from importlib.resources import files
from string import Template

from starlette.responses import HTMLResponse

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of each page, and of what leads on from one."""


def show(template: str, status: int = 200, *, title: str, **values: str) -> HTMLResponse:
    """Show a page: `NAME.html` with its `$values`; raises `KeyError` for one that isn't given."""
    body = _template(template).substitute({name: html.escape(value) for name, value in values.items()})
    return HTMLResponse(_template("frame").substitute(title=html.escape(title), body=body), status, HEADERS)


def say(title: str, text: str, status: int = 200) -> HTMLResponse:
    """Show a page with one sentence."""
    return show("sentence", status, title=title, text=text)


@cache
def _template(name: str) -> Template:
    return Template(files("payments.pages").joinpath(f"{name}.html").read_text(encoding="utf-8").strip())
