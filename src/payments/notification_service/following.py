"""What a listener is sent, one after the other, however it is sent: by a stream of events or by a web socket."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from payments.notification_service.listeners import Item, Listener
from payments.storage.streams import Streamed, Streams
from payments.wire.lists import Lists

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Place:
    """How far a listener is."""

    position: int
    streamed: Streamed | None = None
    """The event that is there; None when nothing came for a while."""
    kept: Item | None = None
    """The same as it is kept for all listeners, if it is."""


async def follow(listener: Listener, streams: Streams, lists: Lists, position: int, quiet_seconds: float) -> AsyncGenerator[Place]:
    """Yield what comes after a position, and where it stands when nothing came for so long; ends when the key is revoked, or the listener is a day behind."""
    while not listener.is_revoked:
        kept = listener.stream.items.get(position + 1)
        found = [kept.streamed] if kept is not None else []
        if kept is None and position < listener.stream.position:
            found = await _missed(listener, streams, lists, position)
            if not found:
                return  # who comes again is told so
        for each in found:
            position = each.position
            yield Place(position, each, kept)
        if not found and not await listener.wait(quiet_seconds):
            yield Place(position)


async def _missed(listener: Listener, streams: Streams, lists: Lists, position: int) -> list[Streamed]:
    """Return what came next and isn't kept for all any more; nothing when it was taken away."""
    key = listener.stream.key
    async with lists.connection(key[0]) as connection:
        found = await streams.news(connection, {key: position}, _PAGE)
    return found if found and found[0].position == position + 1 else []
