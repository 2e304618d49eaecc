"""Whatever bytes arrive, reading them ends in a book with problems, never in an exception."""

import io
import zipfile
from typing import get_args

from hypothesis import example, given, settings
from hypothesis import strategies as st

from muster.protocol import ProtocolInfo
from services.ledger.checks import check
from services.ledger.document import Book
from services.ledger.files import Format, load
from services.ledger.registered import Registered
from services.ledger.templates import template

PROTOCOLS = {"modbus": ProtocolInfo("modbus", "Modbus", lambda device: "")}
WORKBOOK = template()
YAML = b"""
enterprises: [{code: a, name: A}]
models:
  - {code: m, name: M, protocol: modbus, device_class: other, tags: [{name: t, type: u, address: {register: 0}}]}
devices:
  - {enterprise: a, code: d, name: D, model: m, connection: {host: "h", port: 1}, shift_pattern: 1-5 08:00-20:00,
     attestation: {attested_by: x, attested_on: 2026-01-01, nameplate: 'data:image/png;base64,iVBORw0KGgo='}}
"""
formats = st.sampled_from(get_args(Format))


def understood(book: Book) -> None:
    """The book can be checked and its problems said."""
    report = check(book, PROTOCOLS, Registered())
    for problem in report.errors + report.warnings:
        assert problem.say("zh-CN")
        assert problem.say("en")


@settings(max_examples=150)
@given(st.binary(max_size=200), formats)
@example(b"\xff\xfe\x00", "csv")
@example(b"PK\x05\x06" + bytes(18), "xlsx")
def test_arbitrary_bytes_are_a_book(data: bytes, form: Format) -> None:
    understood(load(data, form))


@settings(max_examples=150)
@given(st.text(st.sampled_from("ac:-[]{}&*!|>'\"%@`,\n\t #?0~é\x85"), max_size=60))
def test_arbitrary_markup_is_a_book(text: str) -> None:
    understood(load(text.encode(), "yaml"))
    understood(load(text.encode(), "csv", sheet="devices"))


@settings(max_examples=150)
@given(st.integers(0, len(YAML) - 1), st.binary(max_size=4), st.integers(0, 8))
def test_a_damaged_document_is_a_book(place: int, put: bytes, cut: int) -> None:
    understood(load(YAML[:place] + put + YAML[place + cut :], "yaml"))


def parts() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(WORKBOOK)) as archive:
        return {part.filename: archive.read(part) for part in archive.infolist()}


PARTS = parts()


@settings(max_examples=150)
@given(st.sampled_from(sorted(PARTS)), st.floats(0, 1), st.binary(max_size=6), st.integers(0, 30))
def test_a_workbook_with_a_damaged_part_is_a_book(name: str, where: float, put: bytes, cut: int) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for part, body in PARTS.items():
            if part == name:
                place = int(where * len(body))
                body = body[:place] + put + body[place + cut :]
            archive.writestr(part, body)
    understood(load(sink.getvalue(), "xlsx"))


@settings(max_examples=100)
@given(st.floats(0, 1), st.binary(min_size=1, max_size=3))
def test_a_damaged_archive_is_a_book(where: float, put: bytes) -> None:
    place = int(where * len(WORKBOOK))
    understood(load(WORKBOOK[:place] + put + WORKBOOK[place + len(put) :], "xlsx"))
