"""Writes lines to a stream from a thread, so that a stream that blocks or fails (a full pipe, a full disk) holds nobody up.

What can't be written is kept up to a bound and tried again. Lines beyond the bound are dropped and counted, and the log says afterwards how many were.
"""

import atexit
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Protocol

_PAUSE_SECONDS = 0.2
"""Between two writes: a system call per request would cost more than the request's own line."""
_RETRY_SECONDS = 1.0
"""After a write that failed."""
_WAITING_BYTES_MAX = 4 * 1024 * 1024
"""Some seconds of a service at full load."""
_EXIT_SECONDS_MAX = 2.0


class ByteStream(Protocol):
    """What lines are written to."""

    def write(self, data: bytes, /) -> int | None:
        """Return how many bytes were taken; None when a stream that doesn't block is full."""
        ...


class LineWriter:
    """One stream, one thread while there is something to write. Nothing here raises."""

    def __init__(self, stream: ByteStream, loss: Callable[[int], bytes], *, waiting_bytes_max: int = _WAITING_BYTES_MAX) -> None:
        """`loss` makes the line that tells how many lines were lost."""
        # Unbuffered: Python's own buffer has a lock that a blocked writer holds, and on which the interpreter would give up when it ends.
        self._stream: ByteStream = getattr(stream, "raw", stream)
        self._loss = loss
        self._waiting_bytes_max = waiting_bytes_max
        self._changed = threading.Condition(threading.Lock())
        self._waiting = bytearray()
        self._lost = 0
        self._in_hand = b""
        self._failing = False
        self._hurried = False
        self._thread: threading.Thread | None = None
        atexit.register(self.flush, _EXIT_SECONDS_MAX)

    def put(self, line: bytes) -> None:
        """Have a line written soon, or count it as lost."""
        with self._changed:
            if len(self._waiting) + len(line) > self._waiting_bytes_max:
                self._lost += 1
            else:
                self._waiting += line
            if self._thread is None:
                self._start()

    def flush(self, seconds_max: float) -> bool:
        """Wait until everything is written, but neither longer than `seconds_max` nor for a stream that fails; returns whether it is."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_written() or self._failing or self._thread is None, seconds_max)
            return self._is_written()

    def _is_written(self) -> bool:
        return not (self._waiting or self._in_hand or self._lost)

    def _start(self) -> None:
        # A daemon: if it is stuck in a write, the process ends without it.
        thread = threading.Thread(target=self._run, name="log", daemon=True)
        with contextlib.suppress(RuntimeError):  # the system has no thread to give: the next line tries again
            thread.start()
            self._thread = thread

    def _run(self) -> None:
        while self._take():
            self._write()

    def _take(self) -> bool:
        """Take in hand what came within the pause; False when that was nothing, and the thread ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._hurried, _PAUSE_SECONDS)
            self._hurried = False
            self._in_hand = bytes(self._waiting)
            self._waiting.clear()
            if self._lost:
                self._in_hand += self._loss(self._lost)
                self._lost = 0
            if not self._in_hand:
                self._thread = None
                self._changed.notify_all()
            return bool(self._in_hand)

    def _write(self) -> None:
        """Write what is in hand, however long that takes."""
        while self._in_hand:
            try:
                written = self._stream.write(self._in_hand) or 0
            except (OSError, ValueError):  # ValueError: it is closed
                written = 0
            with self._changed:
                self._in_hand = self._in_hand[written:]
                self._failing = written == 0
                self._changed.notify_all()
            if self._failing:
                time.sleep(_RETRY_SECONDS)
