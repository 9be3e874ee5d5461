"""Leads each request to what answers it, by its path as it was sent."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from payments.wire.request import path_of


class Dispatch:
    """Routes by the path as it was sent. Finds paths without placeholders by one look-up, and leaves the others to the router."""

    def __init__(self, resources: Mapping[str, ASGIApp], router: ASGIApp) -> None:
        """`resources`: by path; `router` knows the others."""
        self._resources = resources
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or serve a socket."""
        scope["path"] = path_of(scope)
        resource = self._resources.get(scope["path"])
        if resource is None or scope["type"] != "http":
            await self._router(scope, receive, send)
        else:
            scope["path_params"] = {}
            await resource(scope, receive, send)
