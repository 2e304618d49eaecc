"""What an XLSX file must be before openpyxl may open it: small once unpacked, plain, without links or macros.

The central directory bounds what can be unpacked (the unpacker reads no more of a part than it declares);
then each XML part is walked once without building anything, so that no part can unfold in memory later.
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
ROWS_LIMIT = 1_048_576
STRINGS_LIMIT = 4_000_000
WITHIN_LIMIT = 40_000
OUTSIDE_LIMIT = 100_000
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
_CHUNK = 256 * 1024


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
                if part.filename.endswith((".xml", ".rels")):
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
        if (
            part.file_size > SMALL_PART_LIMIT
            and "worksheets/" not in name
            and not name.endswith("sharedstrings.xml")
        ):
            raise Refused("book.xlsx-expands", size_mb=part.file_size >> 20, limit_mb=SMALL_PART_LIMIT >> 20)
    if "[Content_Types].xml" not in names:
        raise Refused("book.xlsx-not-a-workbook", detail="[Content_Types].xml")


class _Walker:
    """Counts elements while expat walks a part; raises as soon as a bound is passed."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.rows = self.strings = self.within = self.outside = 0
        self.inside = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if local == "row":
            self.rows += 1
            self.inside, self.within = True, 0
        elif local == "si":
            self.strings += 1
            self.inside, self.within = True, 0
        elif self.inside:
            self.within += 1
        else:
            self.outside += 1
        if (
            self.rows > ROWS_LIMIT
            or self.strings > STRINGS_LIMIT
            or self.within > WITHIN_LIMIT
            or self.outside > OUTSIDE_LIMIT
        ):
            raise Refused("book.xlsx-elements", part=self.part[:80])
        if local == "Relationship" and attributes.get("TargetMode") == "External":
            kind = attributes.get("Type", "")
            if not kind.endswith("/hyperlink"):
                raise Refused("book.xlsx-links", part=self.part[:80])

    def end(self, name: str) -> None:
        if name.rpartition(":")[2] in ("row", "si"):
            self.inside = False

    def doctype(self, *_: Any) -> None:
        raise Refused("book.xlsx-doctype", part=self.part[:80])


def _walk(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    walker = _Walker(part.filename)
    parser = expat.ParserCreate()
    parser.StartElementHandler = walker.start
    parser.EndElementHandler = walker.end
    parser.StartDoctypeDeclHandler = walker.doctype
    try:
        with archive.open(part) as stream:
            while chunk := stream.read(_CHUNK):
                parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise Refused("book.xlsx-not-a-workbook", detail=f"{part.filename[:80]}: {error}") from error
