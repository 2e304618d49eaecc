"""Photographs of nameplates: from a file beside the book or a `data:` URI to bytes that are an image.

A path never leaves the book's folder, and a book that came as bytes names no files at all: an upload must not
read the server's disk.
"""

import base64
import binascii
import re
from pathlib import Path

from services.ledger.cells import shown
from services.ledger.document import Attestation, Book

SIZE_LIMIT = 8 * 1024 * 1024
REFERENCE = re.compile(r"sha256:([0-9a-f]{64})")
_DATA = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE)


class Refused(Exception):
    """The photograph cannot be had; a message key."""


def image(data: bytes) -> bool:
    """Tell whether the bytes begin like a JPEG, PNG, WebP, GIF, TIFF, HEIC or PDF."""
    return (
        data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*", b"%PDF-"))
        or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
        or data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif")
    )


def read_nameplates(book: Book, folder: Path | None) -> None:
    """Put bytes in the place of every photograph that the book names; references to known ones stay."""
    for device in book.devices:
        attestation = device.attestation
        if not isinstance(attestation, Attestation) or isinstance(attestation.nameplate, bytes):
            continue
        written = attestation.nameplate
        if REFERENCE.fullmatch(written):
            continue
        try:
            attestation.nameplate = _photograph(written, folder)
        except Refused as refused:
            attestation.nameplate = b""
            book.problems.error(
                str(refused),
                book.layout("devices"),
                device.row,
                "attestation.nameplate",
                value=shown(written),
                limit_mb=SIZE_LIMIT >> 20,
            )


def _photograph(written: str, folder: Path | None) -> bytes:
    head = _DATA.match(written)
    if head is not None:
        try:
            data = base64.b64decode(written[head.end() :], validate=True)
        except binascii.Error as error:
            raise Refused("book.nameplate-unreadable") from error
    elif folder is None:
        raise Refused("book.nameplate-not-here")
    else:
        data = _file(written, folder)
    if len(data) > SIZE_LIMIT:
        raise Refused("book.nameplate-too-large")
    if not image(data):
        raise Refused("book.nameplate-not-an-image")
    return data


def _file(written: str, folder: Path) -> bytes:
    try:
        path = (folder / written).resolve(strict=True)
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise Refused("book.nameplate-not-here")
        with path.open("rb") as file:
            return file.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        raise Refused("book.nameplate-unreadable") from error
