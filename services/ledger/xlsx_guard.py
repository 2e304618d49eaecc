"""What an XLSX file must be before it is read: small once unpacked, plain, without links or macros.

The central directory bounds what can be unpacked (the unpacker reads no more of a part than it declares);
then each small XML part is walked once without building anything. Sheets and shared strings are bounded where
they are read.
"""

import zipfile
import zlib
from io import BytesIO
from typing import Any
from xml.parsers import expat

ENTRIES_LIMIT = 2_000
TOTAL_LIMIT = 384 * 1024 * 1024
RATIO_LIMIT = 120
RATIO_FROM = 4 * 1024 * 1024
SMALL_PART_LIMIT = 8 * 1024 * 1024
ELEMENTS_LIMIT = 200_000
UNREADABLE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""What the unpacker raises on a damaged, encrypted or strangely packed archive."""
CHUNK = 256 * 1024


class Refused(Exception):
    """The file may not be opened; a message key and its facts."""

    def __init__(self, key: str, **params: Any) -> None:
        super().__init__(key)
        self.key, self.params = key, params


def guard(data: bytes) -> None:
    """Check a workbook's bytes.

    Raises:
        Refused: it is no workbook, or one that could exhaust this machine or reach out of it.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            _directory(archive, len(data))
            for part in archive.infolist():
                if part.filename.endswith((".xml", ".rels")) and not _large(part.filename):
                    _walk(archive, part)
    except UNREADABLE as error:
        raise Refused("book.xlsx-not-a-workbook", detail=str(error)) from error


def _directory(archive: zipfile.ZipFile, packed: int) -> None:
    parts = archive.infolist()
    names = {part.filename for part in parts}
    if len(parts) > ENTRIES_LIMIT:
        raise Refused("book.xlsx-entries", count=len(parts), limit=ENTRIES_LIMIT)
    if len(names) != len(parts):
        raise Refused("book.xlsx-not-a-workbook", detail="two parts of one name")
    total = sum(part.file_size for part in parts)
    if total > TOTAL_LIMIT:
        raise Refused("book.xlsx-expands", size_mb=total >> 20, limit_mb=TOTAL_LIMIT >> 20)
    if total > RATIO_FROM and total > RATIO_LIMIT * packed:
        raise Refused("book.xlsx-ratio", ratio=total // max(packed, 1), limit=RATIO_LIMIT)
    for part in parts:
        name = part.filename.casefold()
        if "externallink" in name:
            raise Refused("book.xlsx-links", part=part.filename[:80])
        if name.endswith(("vbaproject.bin", ".exe", ".dll")) or "/activex/" in name or "/embeddings/" in name:
            raise Refused("book.xlsx-macros", part=part.filename[:80])
        if part.file_size > SMALL_PART_LIMIT and not _large(name):
            raise Refused("book.xlsx-expands", size_mb=part.file_size >> 20, limit_mb=SMALL_PART_LIMIT >> 20)
    if "[Content_Types].xml" not in names:
        raise Refused("book.xlsx-not-a-workbook", detail="[Content_Types].xml")


def _large(name: str) -> bool:
    """Tell whether the part holds the sheets' own content."""
    name = name.casefold()
    return ("worksheets/" in name and "/_rels/" not in name) or name.endswith("sharedstrings.xml")


class _Walker:
    """Counts elements while expat walks a part; raises as soon as a bound is passed."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.count += 1
        if self.count > ELEMENTS_LIMIT:
            raise Refused("book.xlsx-elements", part=self.part[:80])
        outside = name.rpartition(":")[2] == "Relationship" and attributes.get("TargetMode") == "External"
        if outside and not attributes.get("Type", "").endswith("/hyperlink"):
            raise Refused("book.xlsx-links", part=self.part[:80])

    def doctype(self, *_: Any) -> None:
        raise Refused("book.xlsx-doctype", part=self.part[:80])


def _walk(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    walker = _Walker(part.filename)
    parser = expat.ParserCreate()
    parser.StartElementHandler = walker.start
    parser.StartDoctypeDeclHandler = walker.doctype
    try:
        with archive.open(part) as stream:
            while chunk := stream.read(CHUNK):
                parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise Refused("book.xlsx-not-a-workbook", detail=f"{part.filename[:80]}: {error}") from error
