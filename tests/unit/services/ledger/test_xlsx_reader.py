"""XLSX books: sheets in two languages, cells named by letter, and workbooks that may not be opened."""

import io
import zipfile
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from services.ledger import xlsx_cells, xlsx_guard
from services.ledger.document import SHEETS, Book
from services.ledger.files import load
from services.ledger.templates import template
from services.ledger.xlsx_parts import Workbook as Workbook_

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
        ({"xl/x.xml": b"<w>" + b"<m/>" * 200_001 + b"</w>"}, "book.xlsx-elements"),
        ({"xl/worksheets/sheet1.xml": b"<!DOCTYPE a>" + SHEET}, "book.xlsx-doctype"),
        (
            {
                "xl/worksheets/sheet1.xml": SHEET
                + b"<row><c t='inlineStr'><is>"
                + b"<r><t>x</t></r>" * 4_098
                + b"</is></c></row></sheetData></worksheet>"
            },
            "book.xlsx-elements",
        ),
    ],
)
def test_a_workbook_that_would_unfold_or_reach_out_is_refused(parts: dict[str, bytes], key: str) -> None:
    assert [found for found, *_ in problems(load(repacked(PLAIN, parts), "xlsx"))] == [key]


def test_a_workbook_beyond_the_absolute_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_guard, "TOTAL_LIMIT", 1_000)
    assert [found for found, *_ in problems(load(PLAIN, "xlsx"))] == ["book.xlsx-expands"]


def sheet(rows: bytes) -> bytes:
    return SHEET + rows + b"</sheetData></worksheet>"


def test_cells_without_places_follow_one_another_and_missing_ones_are_empty() -> None:
    rows = (
        b"<row><c t='str'><v>code</v></c><c t='str'><v>name</v></c><c t='str'><v>industry</v></c></row>"
        b"<row r='4'><c r='A4' t='str'><v>a</v></c><c r='C4' t='str'><v>x</v></c></row>"
    )
    book = load(repacked(PLAIN, {"xl/worksheets/sheet1.xml": sheet(rows)}), "xlsx")
    assert [(entry.code, entry.name, entry.industry, entry.row) for entry in book.enterprises] == [
        ("a", "", "x", 4)
    ]


@pytest.mark.parametrize(
    "rows",
    [
        b"<row r='99999999999'/>",
        b"<row r='0'/>",
        b"<row r='2'/><row r='2'/>",
        b"<row><c r='B1'/><c r='A1' t='str'><v>x</v></c><c r='A1' t='str'><v>x</v></c></row>",
        b"<row><c r='ZZZ1' t='str'><v>x</v></c></row>",
        b"<row><c r='a1'/></row>",
        b"<row><c t='wonder'><v>x</v></c></row>",
        b"<row><c><v>x</v></c></row>",
        b"<row><c t='s'><v>-1</v></c></row>",
    ],
)
def test_rows_and_cells_that_contradict_the_format_are_refused(rows: bytes) -> None:
    book = load(repacked(PLAIN, {"xl/worksheets/sheet1.xml": sheet(rows)}), "xlsx")
    assert [key for key, *_ in problems(book)] in (["book.xlsx-not-a-workbook"], [])
    assert book.enterprises == []


def test_shared_strings_are_read_with_their_runs_and_without_phonetic_guides() -> None:
    strings = (
        b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        b"<si><t>code</t></si><si><t>name</t></si><si><t>a</t></si>"
        b"<si><r><t>East</t></r><r><rPr><b/></rPr><t xml:space='preserve'> Works</t></r>"
        b"<rPh sb='0' eb='1'><t>guide</t></rPh></si></sst>"
    )
    rows = b"<row><c t='s'><v>0</v></c><c t='s'><v>1</v></c></row><row><c t='s'><v>2</v></c><c t='s'><v>3</v></c></row>"
    with zipfile.ZipFile(io.BytesIO(PLAIN)) as archive:
        relations = archive.read("xl/_rels/workbook.xml.rels").replace(
            b"</Relationships>",
            b'<Relationship Id="rIdS" Target="/xl/sharedStrings.xml" Type="http://schemas.openxmlformats.org'
            b'/officeDocument/2006/relationships/sharedStrings"/></Relationships>',
        )
    parts = {
        "xl/_rels/workbook.xml.rels": relations,
        "xl/sharedStrings.xml": strings,
        "xl/worksheets/sheet1.xml": sheet(rows),
    }
    book = load(repacked(PLAIN, parts), "xlsx")
    assert not book.problems.errors
    assert [(entry.code, entry.name) for entry in book.enterprises] == [("a", "East Works")]


def test_dates_truth_values_and_numbers_are_read_as_they_are() -> None:
    data = workbook(
        {
            "设备": [
                ["enterprise", "code", "commissioned_on", "consumes_energy", "interval_s"],
                ["e", "1", date(2020, 2, 29), False, 2.5],
                ["e", "2", datetime(2020, 2, 29, 12, 0), True, 2],  # noqa: DTZ001 - as a workbook holds it
            ]
        }
    )
    book = load(data, "xlsx")
    assert not book.problems.errors
    assert [(entry.commissioned_on, entry.consumes_energy, entry.interval_s) for entry in book.devices] == [
        ("2020-02-29", False, 2.5),
        ("2020-02-29", True, 2.0),
    ]


cells = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=9)
)


@settings(max_examples=30)
@given(st.lists(st.lists(cells, min_size=1, max_size=5), max_size=5))
def test_values_are_read_as_openpyxl_reads_them(written: list[list[Any]]) -> None:
    data = workbook({"x": [["first"], *written]})
    found = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for number, row in xlsx_cells.rows(known := Workbook_(archive), known.sheets[0][1]):
            for column, value in enumerate(row):
                if value is not None:
                    found[number, column] = value.text if isinstance(value, xlsx_cells.Marked) else value
    theirs = {
        (cell.row, cell.column - 1): cell.value
        for row in load_workbook(io.BytesIO(data))["x"].iter_rows()
        for cell in row
        if cell.value is not None
    }
    assert found == theirs
