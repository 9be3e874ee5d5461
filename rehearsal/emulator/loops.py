"""Work that goes on for as long as the process lives."""

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger("tap.loops")


def forever(name: str, work: Callable[[], None], *, seconds: float, wake: threading.Event | None = None) -> None:
    """Do `work` every `seconds`, and whenever `wake` is set, in a thread of its own. What goes wrong is logged; the next round may do."""
    waker = wake or threading.Event()

    def run() -> None:
        while True:
            waker.wait(seconds)
            waker.clear()
            try:
                work()
            except Exception:  # noqa: BLE001 - one failed round must not end the emulator
                _log.exception("%s: a round failed", name)

    threading.Thread(target=run, name=f"tap-{name}", daemon=True).start()
