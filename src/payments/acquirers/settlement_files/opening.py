"""Finds out which layout a file has."""

import datetime
from typing import IO

from payments.acquirers.settlement_files.camt053 import Camt053File
from payments.acquirers.settlement_files.csv_file import CsvFile
from payments.domain.settlement import SettlementFile, UnreadableFile

_MARK = b"\xef\xbb\xbf"


def open_settlement_file(file: IO[bytes], today: datetime.date) -> SettlementFile:
    """Read what a file says of itself, one that can be read from its beginning twice; raises `UnreadableFile`. `today`: in UTC."""
    head = file.read(64)
    if not head:
        raise UnreadableFile("it is empty")
    file.seek(0)
    if head.removeprefix(_MARK).lstrip().startswith(b"<"):
        return Camt053File(file, today)
    if head.startswith(b"H,"):
        return CsvFile(file, today)
    raise UnreadableFile("it is neither a CSV file with a header, H,1,…, nor an XML file")
