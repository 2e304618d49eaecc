"""A file or its bytes → a book, in whatever format it is written.

Never raises for what a user wrote: everything that is wrong with the file is among the book's problems.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from services.ledger.csv_reader import read_csv
from services.ledger.document import Book
from services.ledger.nameplates import read_nameplates
from services.ledger.problems import Layout
from services.ledger.xlsx_reader import read_xlsx
from services.ledger.yaml_reader import read_yaml

Format = Literal["yaml", "csv", "xlsx"]
SUFFIXES: dict[str, Format] = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "yaml",
    ".csv": "csv",
    ".xlsx": "xlsx",
}
SIZE_LIMIT = 96 * 1024 * 1024


def load(
    source: Path | bytes,
    format: Format | None = None,  # noqa: A002 - the word users know
    *,
    name: str = "",
    sheet: str | None = None,
    fixed: Mapping[str, str] | None = None,
) -> Book:
    """Read a book from a file, or from the bytes of one called `name`.

    format: by the file's suffix when absent. sheet: which sheet a CSV holds, when neither its name nor its
    headings shall tell. fixed: fields that all rows of a CSV share, such as `{"model": "pump-vsd"}`.
    Photographs of nameplates are looked for beside a file; bytes must bring them along as `data:` URIs.
    """
    folder = None
    if isinstance(source, Path):
        name, folder = name or source.name, source.parent
    book = Book(source=name)
    chosen = format or SUFFIXES.get(Path(name).suffix.casefold())
    if chosen is None:
        book.problems.error("book.unknown-format", name=name, known=", ".join(SUFFIXES))
        return book
    data = _bytes(source, book)
    if data is None:
        return book
    book.sha256 = hashlib.sha256(data).digest()
    if chosen == "yaml":
        read_yaml(data, book)
    elif chosen == "csv":
        read_csv(data, book, sheet, fixed or {})
    else:
        read_xlsx(data, book)
    read_nameplates(book, folder)
    return book


def _bytes(source: Path | bytes, book: Book) -> bytes | None:
    if isinstance(source, bytes):
        data = source
    else:
        try:
            with source.open("rb") as file:
                data = file.read(SIZE_LIMIT + 1)
        except OSError as error:
            book.problems.error("book.not-readable", name=source.name, detail=error.strerror or str(error))
            return None
    if len(data) > SIZE_LIMIT:
        book.problems.error("book.file-too-large", Layout(title=book.source), limit_mb=SIZE_LIMIT >> 20)
        return None
    return data
