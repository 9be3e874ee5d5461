"""Stripe's shape of pages of objects, and of what is left of one that was deleted."""

from payments.wire.render_people import Rendered


def render_list(url: str, data: list[Rendered], *, has_more: bool) -> Rendered:
    """Render a page of a list; `url` is the list's."""
    return {"object": "list", "url": url, "has_more": has_more, "data": data}


def render_found(url: str, data: list[Rendered], *, next_page: str | None, total_count: int | None) -> Rendered:
    """Render a page of what a search found; `total_count` is None where nobody asked."""
    body: Rendered = {"object": "search_result", "url": url, "has_more": next_page is not None, "next_page": next_page, "data": data}
    if total_count is not None:
        body["total_count"] = total_count
    return body


def render_deleted(object_id: str, name: str) -> Rendered:
    """Render what is left of an object that says of itself that it is a `name`."""
    return {"id": object_id, "object": name, "deleted": True}
