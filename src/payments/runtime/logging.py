"""One JSON object per line on standard output.

Lines are buffered and written a few times a second, because a system call per request costs more than the request's own line. No line holds a body,
a query string (it may carry a client secret), a header or a card number.
"""

import atexit
import logging
import sys
import threading
import time
import traceback
from typing import BinaryIO

import msgspec

_FLUSH_SECONDS = 0.2
_BUFFERED_BYTES_MAX = 64 * 1024


class Logger:
    """Writes the log lines of one service."""

    def __init__(self, service: str, stream: BinaryIO | None = None) -> None:
        """Log as `service`, to standard output unless another stream is given."""
        self._service = service
        self._stream = stream or sys.stdout.buffer
        self._buffer = bytearray()
        self._lock = threading.Lock()
        self._flushed_at = time.monotonic()
        self._encoder = msgspec.json.Encoder()
        atexit.register(self.flush)

    def event(self, event: str, **fields: object) -> None:
        """Log something that happened."""
        line = {"time": round(time.time(), 3), "service": self._service, "event": event, **fields}
        with self._lock:
            self._encoder.encode_into(line, self._buffer, -1)
            self._buffer += b"\n"
            due = len(self._buffer) > _BUFFERED_BYTES_MAX or time.monotonic() - self._flushed_at > _FLUSH_SECONDS
        if due:
            self.flush()

    def error(self, where: str, failure: BaseException) -> None:
        """Log a failure with the places it passed through; its message is left out, since a driver's message may quote data."""
        frames = traceback.extract_tb(failure.__traceback__)
        self.event("error", where=where, kind=type(failure).__qualname__, stack=[f"{f.filename}:{f.lineno} {f.name}" for f in frames[-8:]])
        self.flush()

    def flush(self) -> None:
        """Write what is buffered."""
        with self._lock:
            pending, self._buffer = self._buffer, bytearray()
            self._flushed_at = time.monotonic()
            if pending:
                self._stream.write(pending)
                self._stream.flush()


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
            self._log.event("library", logger=record.name, level=record.levelname, message=str(record.msg).split("\n", maxsplit=1)[0])
