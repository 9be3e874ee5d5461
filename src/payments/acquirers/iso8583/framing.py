"""Frames: a length, an optional TPDU, a message."""

import asyncio
from dataclasses import dataclass
from typing import Literal

LengthFormat = Literal["binary", "bcd", "ascii"]
FRAME_BYTES_MAX = 9_999
"""No message is longer; a length that says more is a line out of step."""
_TPDU_BYTES = 5


class OutOfStepError(ConnectionError):
    """What should be a length is none: where the next message begins is unknown, and the connection is of no use any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How messages are told apart."""

    length_bytes: Literal[2, 4]
    length_format: LengthFormat
    counts_itself: bool
    """Whether the length includes its own bytes."""
    tpdu: bytes
    """Five bytes before each message, or none."""

    def pack(self, message: bytes) -> bytes:
        """Return the frame of a message."""
        body = self.tpdu + message
        length = len(body) + (self.length_bytes if self.counts_itself else 0)
        return self._written(length) + body

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        """Return the next message, empty for a frame without one; raises `OutOfStepError`, `asyncio.IncompleteReadError`."""
        head = await reader.readexactly(self.length_bytes)
        length = self._said(head)
        if length == 0:  # also where it counts itself: so some hosts keep a line alive
            return b""
        length -= self.length_bytes if self.counts_itself else 0
        if not 0 <= length <= FRAME_BYTES_MAX:
            raise OutOfStepError(f"length {length}")
        body = await reader.readexactly(length)
        return body[_TPDU_BYTES if self.tpdu else 0 :]

    def _written(self, length: int) -> bytes:
        match self.length_format:
            case "binary":
                return length.to_bytes(self.length_bytes)
            case "bcd":
                return bytes.fromhex(f"{length:0{2 * self.length_bytes}d}")
            case "ascii":
                return f"{length:0{self.length_bytes}d}".encode()

    def _said(self, head: bytes) -> int:
        if self.length_format == "binary":
            return int.from_bytes(head)
        digits = head.hex() if self.length_format == "bcd" else head.decode("latin-1")
        if not (digits.isascii() and digits.isdigit()):
            raise OutOfStepError("length that is no number")
        return int(digits)
