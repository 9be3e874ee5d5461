"""camt.053 as a stream: entry by entry, of each what somebody here reads, and nothing is kept of it afterwards.

A tree of all elements would take longer to build than all else that is done with a file.
"""

import re
from collections.abc import Iterator
from typing import IO, Any, NamedTuple
from xml.parsers import expat

from payments.domain.settlement import UnreadableFile

Part = dict[str, Any]
"""What is read of an element: texts by their paths, the currency of an amount under `PATH@`, of several the first; and lists of the parts in it, by their names."""

_CHUNK_BYTES = 65_536
_ENTRY_BYTES_MAX = 1_048_576
"""How much may stand between the ends of two entries: it could be kept in memory."""
_NAMESPACES = re.compile(r"urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.(?:0[2-9]|1[0-9])")
_PARTS = ("Stmt", "Bal", "Ntry", "Rcrd", "TxDtls")
_PATHS = """
GrpHdr/MsgId  GrpHdr/CreDtTm
Stmt/Id  Stmt/CreDtTm  Stmt/FrToDt/FrDtTm  Stmt/FrToDt/ToDtTm  Stmt/Acct/Id/Othr/Id
Stmt/Bal/Tp/CdOrPrtry/Cd  Stmt/Bal/Amt  Stmt/Bal/CdtDbtInd
Stmt/TxsSummry/TtlNtries/NbOfNtries  Stmt/TxsSummry/TtlNtries/Sum
Stmt/Ntry/Amt  Stmt/Ntry/CdtDbtInd  Stmt/Ntry/Sts  Stmt/Ntry/Sts/Cd  Stmt/Ntry/ValDt/Dt  Stmt/Ntry/ValDt/DtTm  Stmt/Ntry/AcctSvcrRef  Stmt/Ntry/BkTxCd/Prtry/Cd
Stmt/Ntry/Chrgs/Rcrd/Amt  Stmt/Ntry/Chrgs/Rcrd/CdtDbtInd  Stmt/Ntry/Chrgs/Rcrd/ChrgInclInd
Stmt/Ntry/NtryDtls/TxDtls/Refs/EndToEndId  Stmt/Ntry/NtryDtls/TxDtls/Refs/AcctSvcrRef
"""


class Found(NamedTuple):
    """An entry, or the end of a statement."""

    document: Part
    statement: Part
    """As far as it was read."""
    entry: Part | None
    """None: the statement ends."""


class _Place:
    """A place in a document."""

    __slots__ = ("below", "key", "part")

    def __init__(self, part: str | None = None) -> None:
        self.part = part
        """The name of the part that begins here."""
        self.key: str | None = None
        """Under which the text is kept; None: it isn't."""
        self.below: dict[str, _Place] = {}
        """By name; what has none is passed over."""


_PASSED_OVER = _Place()


def read_parts(file: IO[bytes], digest: Any) -> Iterator[Found]:
    """Read entries and ends of statements in their order; `digest` is given all bytes. Raises `UnreadableFile`."""
    stream = _Stream()
    try:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            stream.kept_bytes += len(chunk)
            if stream.kept_bytes > _ENTRY_BYTES_MAX + _CHUNK_BYTES:
                raise UnreadableFile(f"more than {_ENTRY_BYTES_MAX} bytes stand between two entries")
            stream.parser.Parse(chunk, False)
            yield from stream.found
            stream.found.clear()
        stream.parser.Parse(b"", True)
        yield from stream.found
    except (
        expat.ExpatError,
        LookupError,
        ValueError,
    ) as failure:  # the latter two: of an encoding that there isn't, or that isn't one for files
        yield from stream.found
        raise UnreadableFile(f"it is no XML: {failure}") from None


class _Stream:
    """What is called back with all that begins and ends."""

    def __init__(self) -> None:
        self.found: list[Found] = []
        self.kept_bytes = 0
        """Since the last entry."""
        self._document: Part = {}
        self._part = self._document
        self._parts: list[Part] = []
        """Those around it."""
        self._place = _PASSED_OVER
        self._places: list[_Place] = []
        self._text: list[str] = []
        self.parser = expat.ParserCreate(namespace_separator="}")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = _refuse_document_type
        self.parser.StartElementHandler = self._begin_document
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text.append

    def _begin_document(self, name: str, _: dict[str, str]) -> None:
        namespace, _separator, local = name.rpartition("}")
        if local != "Document" or _NAMESPACES.fullmatch(namespace) is None:
            raise UnreadableFile("it is no camt.053.001 document")
        self._places.append(_PASSED_OVER)
        self._place = _places(namespace)
        self.parser.StartElementHandler = self._begin

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        self._places.append(self._place)
        place = self._place = self._place.below.get(name, _PASSED_OVER)
        if place.key is not None:
            self._text.clear()
            if attributes:
                self._part.setdefault(place.key + "@", attributes.get("Ccy", ""))
        elif place.part is not None:
            self._parts.append(self._part)
            self._part = {}

    def _end(self, _: str) -> None:
        place = self._place
        if place.key is not None:
            self._part.setdefault(place.key, "".join(self._text).strip())
            self._text.clear()
        elif place.part is not None:
            self._end_part(place.part)
        self._place = self._places.pop()

    def _end_part(self, name: str) -> None:
        part, around = self._part, self._parts.pop()
        self._part = around
        if name == "Ntry":
            self.found.append(Found(self._document, around, part))
            self._text.clear()
            self.kept_bytes = 0
        elif name == "Stmt":
            self.found.append(Found(self._document, part, None))
        else:
            around.setdefault(name, []).append(part)


def _places(namespace: str) -> _Place:
    """Return where a document of a namespace has what is read."""
    document, message = _Place(), _Place()
    document.below[f"{namespace}}}BkToCstmrStmt"] = message
    for path in _PATHS.split():
        place, key = message, ""
        for name in path.split("/"):
            place = place.below.setdefault(f"{namespace}}}{name}", _Place(name if name in _PARTS else None))
            key = "" if place.part else f"{key}/{name}" if key else name
        place.key = key
    return document


def _refuse_document_type(*_: object) -> None:
    raise UnreadableFile("it has a document type, in which entities could be declared: a statement has none")
