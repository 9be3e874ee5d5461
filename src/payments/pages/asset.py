"""Files that browsers load, kept beside this module: each is sent compressed to whoever takes that, and not at all to whoever has it.

Sources: RFC 9110, sections 8.8.3 (ETag) and 12.5.3 (Accept-Encoding).
"""

import gzip
import hashlib
import re
from dataclasses import dataclass, field
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class Asset:
    """A file with what identifies it."""

    body: bytes
    media_type: str
    compressed: bytes
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha256(self.body).hexdigest())

    @staticmethod
    def read(name: str, media_type: str) -> "Asset":
        """Read one by its path from here; it is kept compressed where the name ends in `.gz`."""
        kept = files("payments.pages").joinpath(*name.split("/")).read_bytes()
        is_compressed = name.endswith(".gz")
        body, compressed = (gzip.decompress(kept), kept) if is_compressed else (kept, gzip.compress(kept, mtime=0))
        return Asset(body, f"{media_type}; charset=utf-8", compressed)

    def answer(self, request: Request, headers: dict[str, str]) -> Response:
        """Answer with it, or with nothing where the browser has it already."""
        is_compressed = _takes_gzip(request.headers.get("accept-encoding", ""))
        etag = f'"{self.digest[:32]}{"-gzip" if is_compressed else ""}"'
        headers = {**headers, "ETag": etag, "Vary": "Accept-Encoding"}
        if etag in re.findall(r'"[^"]*"', request.headers.get("if-none-match", "")):
            return Response(None, 304, headers)
        if is_compressed:
            return Response(self.compressed, 200, {**headers, "Content-Encoding": "gzip"}, media_type=self.media_type)
        return Response(self.body, 200, headers, media_type=self.media_type)


def _takes_gzip(accepted: str) -> bool:
    for each in accepted.lower().split(","):
        coding, _, weight = each.partition(";")
        if coding.strip() == "gzip":
            return not re.fullmatch(r"q=0(\.0*)?", weight.strip())
    return False
