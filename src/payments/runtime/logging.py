"""One JSON object per line on standard output.

Logging never raises and never waits: lines are encoded where they are logged and written by a thread (`log_writer`). A line is stamped with the machine's
clock, since the database's, by which everything else goes, may be what the line is about. No line holds a body, a query string (it may carry a client
secret), a header or a card number.
"""

import logging
import os
import sys
import time
import traceback
from collections import deque
from pathlib import Path

import msgspec

from payments.runtime.log_writer import ByteStream, LineWriter

_FRAMES_MAX = 8
_FLUSH_SECONDS_MAX = 2.0

_encode = msgspec.json.Encoder().encode


class Logger:
    """Logs as one service."""

    def __init__(self, service: str, stream: ByteStream | None = None) -> None:
        """Log as `service`, to standard output unless another stream is given."""
        self._service = service
        self._writer = LineWriter(stream or _standard_output(), self._loss)

    def event(self, event: str, **fields: object) -> None:
        """Log something that happened."""
        self._writer.put(_line({"time": round(time.time(), 3), "service": self._service, "event": event, **fields}))

    def error(self, where: str, failure: BaseException, **fields: object) -> None:
        """Log a failure with the places it passed through, and what it is about; its message is left out, since a driver's message may quote data."""
        # Code, file and line are all that is wanted: the traceback module's own extraction would read the sources.
        frames = deque(traceback.walk_tb(failure.__traceback__), _FRAMES_MAX)
        stack = [f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}" for frame, line in frames]
        self.event("error", where=where, kind=type(failure).__qualname__, stack=stack, **fields)

    def flush(self, seconds_max: float = _FLUSH_SECONDS_MAX) -> bool:
        """Wait until what was logged is written; False when it can't be within `seconds_max`. Not for an event loop: it blocks."""
        return self._writer.flush(seconds_max)

    def _loss(self, lines: int) -> bytes:
        return _line({"time": round(time.time(), 3), "service": self._service, "event": "log lines lost", "lines": lines})


class LibraryLog(logging.Handler):
    """Puts what libraries have to say, asyncio and the database's driver above all, into a service's log: one line each instead of a traceback."""

    def __init__(self, log: Logger) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Log a failure by its place, anything else by its first line."""
        failure = record.exc_info[1] if record.exc_info else None
        if failure is not None:
            self._log.error(record.name, failure)
        else:
            message = record.msg if isinstance(record.msg, str) else type(record.msg).__qualname__
            self._log.event("library", logger=record.name, level=record.levelname, message=message.split("\n", maxsplit=1)[0])


def _standard_output() -> ByteStream:
    """Return standard output; nothing's, when the process was started without one."""
    return sys.stdout.buffer if sys.stdout else Path(os.devnull).open("wb", buffering=0)  # pyright: ignore[reportUnnecessaryComparison]


def _line(fields: dict[str, object]) -> bytes:
    try:
        return _encode(fields) + b"\n"
    except Exception:  # noqa: BLE001 - whatever a value is, a line is no reason to fail
        return _encode({name: _encodable(value) for name, value in fields.items()}) + b"\n"


def _encodable(value: object) -> object:
    """Return what can be shown of a value: of one that JSON has no form for its type only, since its text may hold a secret."""
    try:
        _encode(value)
    except UnicodeError:
        if isinstance(value, str):
            return value.encode("ascii", "backslashreplace").decode("ascii")
    except Exception:  # noqa: BLE001, S110 - whatever it is
        pass
    else:
        return value
    return f"<{type(value).__qualname__}>"
