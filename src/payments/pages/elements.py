"""The script for merchants' pages, and the document with card fields that it shows in frames. Both are built from `browser/` and kept beside this module.

A page that was loaded before a release asks for the previous version's fields: it gets this one's, which understand it, and keeps nothing.

Sources: W3C, "Content Security Policy Level 3" and "Trusted Types"; RFC 8246 (immutable).
"""

import base64
import hashlib
import re
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payments.pages.asset import Asset

SCRIPT_URLS = ("/js/tap.js", "/v3", "/v3/")
"""The script's own name, and those that Stripe's has."""
FRAME_URL = "/js/frame-{version}.html"

_SCRIPT_FRESH_SECONDS = 300
"""A page has a release's script after that long."""
_FOR_ALL = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin", "X-Content-Type-Options": "nosniff"}
_FRESH_FOR_A_WHILE = f"public, max-age={_SCRIPT_FRESH_SECONDS}"
_FRESH_FOREVER = "public, max-age=31536000, immutable"
_FRAMED = {"Cross-Origin-Embedder-Policy": "require-corp", "Cross-Origin-Resource-Policy": "cross-origin"}
"""A page that is isolated itself shows no document without these."""
_INLINE = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)
_FEATURES = (
    "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "fullscreen", "geolocation", "gyroscope", "magnetometer", "microphone",
    "midi", "payment", "picture-in-picture", "publickey-credentials-get", "screen-wake-lock", "usb", "xr-spatial-tracking",
)  # fmt: skip


def element_routes(frame_ancestors: Sequence[str]) -> list[Route]:
    """Return the routes; pages of `frame_ancestors` may show card fields, or all where there is none."""
    script, frame = Asset.read("js/tap.js", "text/javascript"), Asset.read("js/frame.html", "text/html")
    version, headers = frame.digest[:16], _headers_of_frame(frame.body.decode(), frame_ancestors)

    async def show_script(request: Request) -> Response:
        return script.answer(request, {**_FOR_ALL, "Cache-Control": _FRESH_FOR_A_WHILE})

    async def show_frame(request: Request) -> Response:
        is_this = request.path_params["version"] == version
        return frame.answer(request, {**headers, "Cache-Control": _FRESH_FOREVER if is_this else "no-store"})

    return [*(Route(url, show_script, methods=["GET"]) for url in SCRIPT_URLS), Route(FRAME_URL, show_frame, methods=["GET"])]


def framed(page: Response, ancestors: Sequence[str]) -> Response:
    """Let pages of these origins, or all where there is none, show in a frame what else no page may."""
    if (policy := page.headers.get("Content-Security-Policy")) is not None:
        page.headers["Content-Security-Policy"] = policy.replace("; frame-ancestors 'none'", _ancestors(ancestors))
        page.headers.update(_FRAMED)
    return page


def _ancestors(origins: Sequence[str]) -> str:
    """An application's own scheme, which `*` doesn't have in it, may show it too, where any may."""
    return f"; frame-ancestors {' '.join(origins)}" if origins else ""


def _headers_of_frame(document: str, frame_ancestors: Sequence[str]) -> dict[str, str]:
    """Nothing runs or is shown there but what the document has, named by its digest; and what is typed is sent to us alone."""
    hashes = {
        tag: f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for tag, text in _INLINE.findall(document)
    }
    policy = (
        f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']}; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        f"require-trusted-types-for 'script'; trusted-types 'none'{_ancestors(frame_ancestors)}"
    )
    return {
        "Content-Security-Policy": policy,
        **_FRAMED,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": ", ".join(f"{name}=()" for name in _FEATURES),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
