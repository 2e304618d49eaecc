"""XLSX books: sheets in two languages, cells named by letter, and workbooks that may not be opened."""

import io
import zipfile
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from services.ledger import xlsx_guard
from services.ledger.document import SHEETS, Book
from services.ledger.files import load
from services.ledger.templates import template

Sheets = dict[str, list[list[Any]]]


def workbook(sheets: Sheets) -> bytes:
    made = Workbook()
    made.remove(made.worksheets[0])
    for name, rows in sheets.items():
        page = made.create_sheet(name)
        for row in rows:
            page.append(row)
    sink = io.BytesIO()
    made.save(sink)
    return sink.getvalue()


def repacked(data: bytes, parts: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            if part.filename not in parts:
                new.writestr(part, old.read(part))
        for name, body in parts.items():
            new.writestr(name, body)
    return sink.getvalue()


def problems(book: Book) -> list[tuple[str, str, int | None, str | None]]:
    return [(problem.key, problem.sheet, problem.row, problem.column) for problem in book.problems.errors]


SHEET = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
LINKS = b"<Relationships><Relationship Type='x/oleObject' TargetMode='External'/></Relationships>"
PLAIN = workbook({"企业": [["企业编码", "企业名称"], ["acme", "示例"]]})


@pytest.mark.parametrize(
    "names", [("企业", "设备", "编码"), ("enterprises", "devices", "code"), ("Enterprises", "Devices", "")]
)
def test_sheets_and_headings_are_known_in_both_languages(names: tuple[str, str, str]) -> None:
    enterprises, devices, _ = names
    data = workbook(
        {
            enterprises: [["企业编码*", "Enterprise name"], ["acme", "示例"], [1001, "数字编码"]],
            devices: [
                ["Enterprise", "设备编码", "name", "Host", "端口", "从站号"],
                ["acme", "P-1", "泵", "192.0.2.1", 502, 1.0],
            ],
        }
    )
    book = load(data, "xlsx")
    assert not book.problems.errors
    assert [entry.code for entry in book.enterprises] == ["acme", "1001"]
    assert book.devices[0].connection == {"host": "192.0.2.1", "port": 502, "unit": 1}


def test_formulas_and_error_values_are_refused_by_cell_and_never_computed() -> None:
    data = workbook({"企业": [["企业编码", "企业名称"], ["a", "=1+1"], ["b", "#REF!"], ["c", "C"]]})
    book = load(data, "xlsx")
    assert problems(book) == [("book.formula-cell", "企业", 2, "B"), ("book.error-cell", "企业", 3, "B")]
    assert [entry.code for entry in book.enterprises] == ["c"]


def test_an_unknown_sheet_is_left_out_with_a_warning_unless_it_is_the_only_one() -> None:
    book = load(workbook({"企业": [["企业编码"], ["a"]], "说明": [["x"]]}), "xlsx")
    assert [(problem.key, problem.sheet) for problem in book.problems.warnings] == [
        ("book.sheet-ignored", "说明")
    ]
    assert problems(load(workbook({"说明": [["x"]]}), "xlsx"))[0][0] == "book.no-sheet"
    assert problems(load(workbook({"企业": [["code"]], "enterprises": [["code"]]}), "xlsx")) == [
        ("book.sheet-twice", "enterprises", None, None)
    ]


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_the_template_is_a_book_that_says_nothing(language: Any) -> None:
    data = template(language)
    book = load(data, "xlsx")
    assert not book.problems.errors
    assert all(book.entries(sheet) == [] for sheet in SHEETS)
    assert {problem.key for problem in book.problems.warnings} == {"book.example-skipped"}
    pages = load_workbook(io.BytesIO(data))
    assert len(pages.sheetnames) == len(SHEETS)


def test_a_template_that_was_filled_in_is_read() -> None:
    pages = load_workbook(io.BytesIO(template()))
    pages["企业"].append(["acme2", "另一家"])
    sink = io.BytesIO()
    pages.save(sink)
    book = load(sink.getvalue(), "xlsx")
    assert [(entry.code, entry.row) for entry in book.enterprises] == [("acme2", 4)]


def test_cells_beyond_the_column_limit_are_refused() -> None:
    data = workbook({"企业": [["企业编码"], ["a"] + [None] * 300 + ["far away"]]})
    assert problems(load(data, "xlsx")) == [("book.too-many-columns", "企业", 2, None)]


def test_what_is_no_workbook_is_refused() -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("a.txt", "x")
    for data in (b"", b"PK\x03\x04", b"code,name", sink.getvalue(), PLAIN[: len(PLAIN) // 2]):
        assert [key for key, *_ in problems(load(data, "xlsx"))] == ["book.xlsx-not-a-workbook"]


def test_a_workbook_that_contradicts_itself_is_refused() -> None:
    for part, body in (
        ("xl/workbook.xml", b"<workbook/>"),
        ("xl/worksheets/sheet1.xml", SHEET + b"<row r='x'><c/></row></sheetData></worksheet>"),
        ("xl/worksheets/sheet1.xml", SHEET),
        (
            "xl/worksheets/sheet1.xml",
            SHEET + b"<row r='1'><c t='s'><v>7</v></c></row></sheetData></worksheet>",
        ),
    ):
        found = problems(load(repacked(PLAIN, {part: body}), "xlsx"))
        assert [key for key, *_ in found] in (["book.xlsx-not-a-workbook"], ["book.no-sheet"]), part


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        ({"xl/media/zeros.bin": bytes(6_000_000)}, "book.xlsx-ratio"),
        ({"xl/media/noise.bin": bytes(9_000_000)}, "book.xlsx-ratio"),
        ({f"p{number}.bin": b"" for number in range(2_001)}, "book.xlsx-entries"),
        ({"xl/externalLinks/externalLink1.xml": b"<a/>"}, "book.xlsx-links"),
        ({"xl/vbaProject.bin": b"x"}, "book.xlsx-macros"),
        ({"docProps/x.xml": b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"}, "book.xlsx-doctype"),
        (
            {"xl/_rels/x.rels": LINKS},
            "book.xlsx-links",
        ),
        ({"xl/worksheets/x.xml": b"<w><row>" + b"<c/>" * 40_001 + b"</row></w>"}, "book.xlsx-elements"),
        ({"xl/worksheets/x.xml": b"<w>" + b"<m/>" * 100_001 + b"</w>"}, "book.xlsx-elements"),
    ],
)
def test_a_workbook_that_would_unfold_or_reach_out_is_refused(parts: dict[str, bytes], key: str) -> None:
    assert [found for found, *_ in problems(load(repacked(PLAIN, parts), "xlsx"))] == [key]


def test_a_workbook_beyond_the_absolute_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_guard, "TOTAL_LIMIT", 1_000)
    assert [found for found, *_ in problems(load(PLAIN, "xlsx"))] == ["book.xlsx-expands"]


def test_rows_numbered_beyond_the_format_end_the_sheet() -> None:
    sheet = (
        SHEET + b'<row r="1"><c r="A1" t="inlineStr"><is><t>code</t></is></c></row>'
        b'<row r="2"><c r="A2" t="inlineStr"><is><t>a</t></is></c></row>'
        b'<row r="99999999999"><c t="inlineStr"><is><t>b</t></is></c></row></sheetData></worksheet>'
    )
    book = load(repacked(PLAIN, {"xl/worksheets/sheet1.xml": sheet}), "xlsx")
    assert [entry.code for entry in book.enterprises] == ["a"]
