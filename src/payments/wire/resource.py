"""The operations that resources have in common, each made of the kind and of what it takes."""

from typing import TypeVar

from msgspec import Struct

from payments.domain.resource import R
from payments.wire.api import Call, Endpoint, Reply
from payments.wire.changes import changed
from payments.wire.kind import Kind
from payments.wire.objects import Objects
from payments.wire.params import NoParams
from payments.wire.reading import PageParams, Reader

L = TypeVar("L", bound=PageParams)
P = TypeVar("P", bound=Struct)


def retrieve(reader: Reader, kind: Kind[R]) -> Endpoint[NoParams]:
    """Show one object."""

    async def handler(call: Call, _: NoParams) -> Reply:
        return await reader.show(call, kind, call.path["id"])

    return Endpoint("GET", f"{kind.path}/{{id}}", NoParams, handler)


def listing(reader: Reader, kind: Kind[R], params: type[L]) -> Endpoint[L]:
    """Show them page by page; each field of `params` beyond a page's own is a filter, by the column of its name."""

    async def handler(call: Call, given: L) -> Reply:
        return await reader.page(call, kind, given)

    return Endpoint("GET", kind.path, params, handler)


def update(objects: Objects, kind: Kind[R], params: type[P]) -> Endpoint[P]:
    """Change what is given, and tell of it."""

    async def handler(call: Call, given: P) -> Reply:
        before = await objects.reader.get(call, kind, call.path["id"])
        return await objects.change(call, before, changed(before, given))

    return Endpoint("POST", f"{kind.path}/{{id}}", params, handler)
