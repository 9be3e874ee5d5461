"""The API's description, and the page to read it and try it: all of it from here, so that it works without any network.

The description is made of the code (`tests/support/openapi.py`). The page is built from `browser/`; the viewer in it is Swagger UI as it was released.
"""

from collections.abc import Awaitable, Callable
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payments.pages.asset import Asset

URL = "/docs"
_FILES = {
    "": ("docs.html", "text/html"),
    "/docs.css": ("docs.css", "text/css"),
    "/docs.js": ("docs.js", "text/javascript"),
    "/openapi.json": ("openapi.json", "application/json"),
    "/swagger-ui.css": ("swagger-ui.css.gz", "text/css"),
    "/swagger-ui.js": ("swagger-ui.js.gz", "text/javascript"),
}
"""What follows the URL → the file, and its media type."""
_HEADERS = {
    "Cache-Control": "no-cache",
    # Nothing comes from elsewhere or goes there. The viewer sets the style of what it makes by scripts, which needs no permission, and has its images in its style.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def reference_routes() -> list[Route]:
    """Return the routes."""
    return [Route(f"{URL}{name}", _show(*file), methods=["GET"]) for name, file in _FILES.items()]


def _show(file: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    @cache
    def asset() -> Asset:  # when somebody asks: most copies of the service are never asked
        return Asset.read(f"docs/{file}", media_type)

    async def show(request: Request) -> Response:
        return asset().answer(request, _HEADERS)

    return show
