"""What merchants' pages load of us is what its sources make, is typed as Stripe's, and is served so that nothing else runs in it."""

import asyncio
import gzip
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import Message

from payments.pages.amounts import countries
from payments.pages.elements import SCRIPT_URLS, element_routes, framed
from payments.pages.page import say, show
from payments.pages.reference import reference_routes
from payments.pages.words import languages, words_of
from tests.unit.test_checkout_page import VALUES

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "src/payments/pages/js"
MODULES = ROOT / ".venv/browser/node_modules"
NODE = f"{sys.prefix}/bin/node"

needs_modules = pytest.mark.skipif(not MODULES.exists(), reason="npm's packages aren't installed: make browser")


def run(*command: str) -> str:
    env = {**os.environ, "MODULES": str(MODULES)}
    done = subprocess.run(command, cwd=ROOT / "browser", env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_modules
def test_the_same_sources_make_the_same_bytes(tmp_path: Path) -> None:
    run(NODE, "build.mjs", str(tmp_path), str(MODULES))
    made, kept = _files(tmp_path), _files(BUILT.parent)
    assert kept.keys() - made.keys() == {Path("docs/openapi.json")}
    assert made == {name: kept[name] for name in made}, "built anew by make browser"


def _files(pages: Path) -> dict[Path, bytes]:
    found = {path.relative_to(pages): path.read_bytes() for kind in ("js", "docs") for path in (pages / kind).iterdir()}
    return {name: gzip.decompress(body) if name.suffix == ".gz" else body for name, body in found.items()}


def test_a_page_loads_less_than_forty_kilobytes() -> None:
    assert sum(len(gzip.compress(path.read_bytes())) for path in BUILT.iterdir()) < 40_000


def test_a_page_of_ours_is_less_than_sixty_kilobytes_with_all_that_it_can_ask_for() -> None:
    for language in languages():
        values: dict[str, Any] = {**VALUES, "words": words_of(language), "billing_choices": list(countries(language).items())}
        page = show("checkout", **values)
        assert len(bytes(page.body)) < 60_000


@needs_modules
def test_a_merchants_program_for_stripe_is_typed_for_tap() -> None:
    run(NODE, str(MODULES / "typescript/bin/tsc"), "-p", ".")


@pytest.mark.parametrize("tests", ["unit", pytest.param("declared", marks=needs_modules)])
def test_formats_brands_and_encodings_are_right_and_what_stripe_declares_is_known(tests: str) -> None:
    told = run(NODE, "--test", f"test/{tests}.test.mjs")
    assert re.search(r"fail 0\b", told)
    assert re.search(r"pass [1-9]", told)


@dataclass
class Page:
    status: int = 0
    headers: Headers = field(default_factory=Headers)
    content: bytes = b""

    @property
    def text(self) -> str:
        return self.content.decode()


def get(url: str, *ancestors: str, **fields: str) -> Page:
    page = Page()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            page.status, page.headers = message["status"], Headers(raw=message["headers"])
        else:
            page.content += message["body"]

    headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    scope = {"type": "http", "method": "GET", "path": url, "query_string": b"", "headers": headers}
    asyncio.run(Router([*element_routes(ancestors), *reference_routes()], redirect_slashes=False)(scope, receive, send))
    if page.headers.get("content-encoding") == "gzip":
        page.content = gzip.decompress(page.content)
    return page


def frame_url() -> str:
    (url,) = re.findall(r"/js/frame-[0-9a-f]{16}\.html", (BUILT / "tap.js").read_text(encoding="utf-8"))
    return url


@pytest.mark.parametrize("url", SCRIPT_URLS)
def test_the_script_has_stripes_names_and_is_asked_for_anew_soon(url: str) -> None:
    script = get(url, accept_encoding="br, gzip;q=0.8")
    assert script.content == (BUILT / "tap.js").read_bytes()
    assert script.headers["content-encoding"] == "gzip"
    assert script.headers["cache-control"] == "public, max-age=300"
    assert script.headers["vary"] == "Accept-Encoding"
    again = get(url, accept_encoding="gzip", if_none_match=f'W/"x", {script.headers["etag"]}')
    assert (again.status, again.content) == (304, b"")


def test_who_takes_no_gzip_gets_none() -> None:
    for accepted in ("identity", "gzip;q=0, br", ""):
        assert "content-encoding" not in get("/v3/", accept_encoding=accepted).headers


def test_the_fields_are_kept_for_good_under_their_digest_alone() -> None:
    assert get(frame_url()).headers["cache-control"] == "public, max-age=31536000, immutable"
    previous = get("/js/frame-0123456789abcdef.html")
    assert (previous.headers["cache-control"], previous.content) == ("no-store", (BUILT / "frame.html").read_bytes())


def test_nothing_runs_among_the_fields_but_what_is_there_and_nothing_leaves_but_to_us() -> None:
    page = get(frame_url())
    policy = dict(each.split(" ", 1) for each in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["form-action"] == "'none'"
    assert policy["trusted-types"] == "'none'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["script-src"])
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["style-src"])
    assert (page.text.count("<script"), page.text.count("</script")) == (1, 1)
    assert not re.search(r'\s(src|on\w+|style)="', page.text.partition("<script")[0])
    assert "payment=()" in page.headers["permissions-policy"]


def test_any_page_may_show_fields_unless_those_that_may_are_named() -> None:
    assert "frame-ancestors" not in get(frame_url()).headers["content-security-policy"]
    named = get(frame_url(), "https://shop.example", "https://*.shop.example")
    assert "; frame-ancestors https://shop.example https://*.shop.example" in named.headers["content-security-policy"]
    assert "frame-ancestors" not in framed(say("x", "y"), ()).headers["content-security-policy"]
    assert "frame-ancestors https://shop.example" in framed(say("x", "y"), ["https://shop.example"]).headers["content-security-policy"]
    assert framed(Response(), ()).headers.get("content-security-policy") is None


def test_the_page_on_the_api_has_all_that_it_loads_from_us() -> None:
    page = get("/docs")
    policy = dict(each.split(" ", 1) for each in page.headers["content-security-policy"].split("; "))
    assert policy.pop("img-src") == "'self' data:"
    assert set(policy.values()) == {"'none'", "'self'"}
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    loaded = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
    assert len(loaded) == 5
    for url in loaded:
        plain, compressed = get(url), get(url, accept_encoding="gzip")
        assert (plain.status, compressed.status, plain.content) == (200, 200, compressed.content)
        assert "content-encoding" not in plain.headers
        assert compressed.headers["content-encoding"] == "gzip"
    assert not re.search(r"https?://", page.text + get("/docs/docs.js").text + get("/docs/docs.css").text)
