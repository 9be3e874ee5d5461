"""Frames: a length, an optional TPDU, a message."""

import asyncio
from dataclasses import dataclass
from typing import Literal

FRAME_BYTES_MAX = 9_999
"""No message is longer; a length that says more is a line out of step."""
_TPDU_BYTES = 5


class OutOfStepError(ConnectionError):
    """What should be a length is none: where the next message begins is unknown, and the connection is of no use any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How messages are told apart."""

    length_bytes: Literal[2, 4]
    length_format: Literal["binary", "ascii"]
    counts_itself: bool
    """Whether the length includes its own bytes."""
    tpdu: bytes
    """Five bytes before each message, or none."""

    def pack(self, message: bytes) -> bytes:
        """Return the frame of a message."""
        body = self.tpdu + message
        length = len(body) + (self.length_bytes if self.counts_itself else 0)
        head = length.to_bytes(self.length_bytes) if self.length_format == "binary" else f"{length:0{self.length_bytes}d}".encode()
        return head + body

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        """Return the next message, empty for a frame without one; raises `OutOfStepError`, `asyncio.IncompleteReadError`."""
        head = await reader.readexactly(self.length_bytes)
        if self.length_format == "binary":
            length = int.from_bytes(head)
        elif head.isdigit():
            length = int(head)
        else:
            raise OutOfStepError("length that is no number")
        length -= self.length_bytes if self.counts_itself else 0
        if not 0 <= length <= FRAME_BYTES_MAX:
            raise OutOfStepError(f"length {length}")
        body = await reader.readexactly(length)
        return body[_TPDU_BYTES if self.tpdu else 0 :]
