"""`tap logs tail`: what the API of a local run was asked, from the logs of the services that the front door leads to."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from payments.cli.data_directory import DataDirectory
from payments.runtime.topology import SERVICES, Names

_POLL_SECONDS = 0.2
_BLOCK_BYTES = 64 * 1024
_LINE_BYTES_MAX = 1024 * 1024

Request = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which requests."""

    methods: Sequence[str] = ()
    paths: Sequence[str] = ()
    """Their beginnings."""
    statuses: Sequence[str] = ()
    """`402`, or `4xx`."""

    def __call__(self, request: Request) -> bool:
        """Tell whether it is one of them."""
        status = str(request.get("status"))
        return (
            (not self.methods or request.get("method") in {each.upper() for each in self.methods})
            and (not self.paths or str(request.get("path")).startswith(tuple(self.paths)))
            and (not self.statuses or any(status == each or (each[1:] == "xx" and status[:1] == each[:1]) for each in self.statuses))
        )


@dataclass(slots=True)
class _Log:
    """A file that is read on as it grows."""

    path: Path
    offset: int = 0
    rest: bytes = b""

    def read(self) -> Iterator[Request]:
        """Return the requests that were written since."""
        try:
            size = self.path.stat().st_size
            if size < self.offset:  # it was begun anew
                self.offset, self.rest = 0, b""
            with self.path.open("rb") as log:
                log.seek(self.offset)
                while block := log.read(_BLOCK_BYTES):
                    self.offset += len(block)
                    *lines, self.rest = (self.rest + block).split(b"\n")
                    yield from filter(None, map(_request, lines))
                    if len(self.rest) > _LINE_BYTES_MAX:
                        self.rest = b""
        except OSError:
            return  # a service that has none yet

    def skip_to(self, since: float) -> None:
        """Go to where what was logged since a time begins, by halves: a log may be large."""
        if not self.path.exists():
            return
        low, high = 0, self.path.stat().st_size
        with self.path.open("rb") as log:
            while high - low > _BLOCK_BYTES:
                middle = (low + high) // 2
                log.seek(middle)
                log.readline()
                logged = _time(log.readline())
                low, high = (middle, high) if logged is not None and logged < since else (low, middle)
            log.seek(low)
            if low:
                log.readline()
            self.offset = log.tell()


@dataclass(slots=True)
class RequestLog:
    """The requests of a local run, in the order in which they were answered."""

    directory: DataDirectory
    _logs: dict[Path, _Log] = field(default_factory=dict[Path, _Log])

    def skip_to(self, since: float) -> None:
        """Begin with what was logged since a time, unix seconds."""
        for log in self._open():
            log.skip_to(since)

    def read(self) -> list[Request]:
        """Return what is new."""
        return sorted((request for log in self._open() for request in log.read()), key=lambda request: request["time"])

    def _open(self) -> list[_Log]:
        for service, spec in SERVICES.items():
            if not spec.is_called_by_services:
                for path in self.directory.logs.glob(f"{service}*.log"):
                    self._logs.setdefault(path, _Log(path))
        return list(self._logs.values())


def run_tail(
    directory: DataDirectory, wanted: Wanted, *, since: float | None, after: str | None, as_json: bool, tell: Callable[[str], None]
) -> None:
    """Tell requests as they are answered, until Ctrl-C; from a time or after a request, if one is named, else from now on."""
    directory.secrets()  # raises when there never was a run
    log = RequestLog(directory)
    if after is None:
        since = time.time() if since is None else since
        log.skip_to(since)
    passed = after is None
    while True:
        for request in log.read():
            if not passed:
                passed = request.get("request_id") == after
            elif request["time"] >= (since or 0) and wanted(request):
                tell(json.dumps(request) if as_json else shown(request))
        time.sleep(_POLL_SECONDS)


def shown(request: Request) -> str:
    """Return a request as a line."""
    at = datetime.fromtimestamp(request["time"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"{at} [{request.get('status')}] {request.get('method')} {request.get('path')} [{request.get('request_id')}]"


def on_aws(environment: str) -> str:
    """Return what shows the same of an environment on AWS."""
    groups = [Names(environment).log_group(service) for service, spec in SERVICES.items() if not spec.is_called_by_services]
    pattern = '{ $.event = "request" }'
    return "\n".join(f"aws logs tail {group} --follow --format short --filter-pattern '{pattern}'" for group in groups)


def seconds(given: str) -> float | None:
    """Return how many seconds `90`, `90s`, `10m`, `2h` or `1d` are; None when it is none of these."""
    number, unit = (given, "s") if given.isdecimal() else (given[:-1], given[-1:])
    factor = {"s": 1, "m": 60, "h": 3600, "d": 86_400}.get(unit)
    return float(number) * factor if factor is not None and number.isdecimal() else None


def _request(line: bytes) -> Request | None:
    try:
        logged: Any = json.loads(line)
        return logged if logged["event"] == "request" and isinstance(logged["time"], int | float) else None
    except (ValueError, TypeError, KeyError):
        return None


def _time(line: bytes) -> float | None:
    try:
        logged: Any = json.loads(line)
        return float(logged["time"])
    except (ValueError, TypeError, KeyError):
        return None
