"""CSV books: encodings, headings in two languages, rows counted as a spreadsheet counts them."""

import pytest

from services.ledger.document import Book
from services.ledger.files import load

TEXT = (
    "企业编码,设备编码,设备名称,主机,端口,connection.window.start\r\nacme,P-1,1号水泵,192.0.2.10,502,100\r\n"
)


def problems(book: Book) -> list[tuple[str, int | None, str | None]]:
    return [(problem.key, problem.row, problem.column) for problem in book.problems.errors]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_file_is_read_in_every_encoding_that_spreadsheets_here_write(encoding: str) -> None:
    book = load(TEXT.encode(encoding), "csv", name="x.csv", fixed={"model": "pump"})
    assert not book.problems.errors
    device = book.devices[0]
    assert (device.name, device.model, device.row) == ("1号水泵", "pump", 2)
    assert device.connection == {"host": "192.0.2.10", "port": 502, "window": {"start": 100}}


def test_bytes_in_no_encoding_are_refused() -> None:
    assert problems(load(b"code,name\n\xff\xff\xff", "csv")) == [("book.encoding-unknown", None, None)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_seen_in_the_headings(delimiter: str) -> None:
    text = delimiter.join(("code", "name", "industry")) + "\n" + delimiter.join(("a", "A", "metallurgy"))
    assert load(text.encode(), "csv", name="enterprises.csv").enterprises[0].industry == "metallurgy"


def test_the_sheet_follows_from_the_name_or_from_the_headings() -> None:
    assert load(b"code,name\na,A", "csv", name="gateways.csv").gateways
    assert load("编码,code,name\n1,a,A".encode(), "csv", name="网关.csv").gateways
    assert load(b"model,name,type,address.register\nm,speed,uint16,0", "csv", name="x.csv").tags
    assert load(b"code,name\na,A", "csv", sheet="enterprises").enterprises
    assert problems(load(b"one,two\na,A", "csv")) == [("book.sheet-not-recognised", 1, None)]


def test_mistakes_name_the_column_by_letter_and_heading() -> None:
    text = "企业编码,设备编码,设备名称,采集周期（秒）,颜色,设备名称\nacme,P-1,x,fast,red,y\n,P-2,x,1,,\n"
    book = load(text.encode(), "csv", name="devices.csv")
    assert problems(book) == [
        ("book.unknown-column", 1, "E"),
        ("book.column-twice", 1, "F"),
        ("book.not-a-number", 2, "D"),
        ("book.required", 3, "A"),
    ]
    assert book.problems.errors[2].say() == (
        "devices.csv 第 2 行 D 列（采集周期（秒））：应为数字，实为“fast”"
    )


def test_a_missing_key_column_is_said_once_and_no_row_is_read() -> None:
    book = load("企业编码,设备名称\nacme,x\nacme,y\n".encode(), "csv", sheet="devices")
    assert problems(book) == [("book.column-missing", 1, None)]
    assert book.devices == []


def test_rows_are_named_by_the_line_they_begin_on() -> None:
    text = 'enterprise,code,name,interval_s\n\na,1,"two\nlines",1\na,2,x,fast\n'
    book = load(text.encode(), "csv", name="devices.csv")
    assert [device.row for device in book.devices] == [3]
    assert problems(book) == [("book.not-a-number", 5, "D")]


def test_an_exported_escape_is_undone() -> None:
    book = load(b"code,name\na,'=1+1\nb,''quoted\n", "csv", name="enterprises.csv")
    assert [entry.name for entry in book.enterprises] == ["=1+1", "'quoted"]


def test_a_malformed_file_is_refused() -> None:
    assert [
        key for key, _, _ in problems(load(b'code,name\na,"b', "csv", name="sites.csv", sheet="enterprises"))
    ] == ["book.csv-syntax"]


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.ledger.csv_reader.ROWS_LIMIT", 2)
    book = load(b"code,name\na,A\nb,B\nc,C\n", "csv", name="enterprises.csv")
    assert problems(book) == [("book.too-many-rows", 4, None)]
