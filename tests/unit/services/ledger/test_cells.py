"""Cells of a book: what is written is read as what its field needs, and written back the same."""

from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.cells import (
    CellError,
    Plain,
    escape,
    free,
    read,
    read_free_cell,
    unescape,
    write_free_cell,
)
from services.ledger.columns import Column
from services.ledger.document import sheet_columns

COLUMNS = {column.name: column for sheet in ("tags", "models", "devices") for column in sheet_columns(sheet)}


def column(name: str) -> Column:
    return COLUMNS[name]


@pytest.mark.parametrize(
    ("name", "cell", "value"),
    [
        ("code", "  P-1\u3000", "P-1"),
        ("code", "Ｐ－００１", "P-001"),
        ("code", 1001, "1001"),
        ("code", 1001.0, "1001"),
        ("code", Plain("0042"), "0042"),
        ("code", Plain("no"), "no"),
        ("name", "１号　泵\u200b", "１号　泵"),
        ("name", "一\r\n二", "一\n二"),
        ("interval_s", "１．５", 1.5),
        ("interval_s", " 2 ", 2.0),
        ("interval_s", Plain("1e-1"), 0.1),
        ("writable", "是", True),
        ("writable", "No", False),
        ("writable", 0, False),
        ("consumes_energy", "ＴＲＵＥ", True),
        ("commissioned_on", "2026/1/31", "2026-01-31"),
        ("commissioned_on", "2026年1月31日", "2026-01-31"),
        ("commissioned_on", datetime(2026, 1, 31, 8, 0), "2026-01-31"),  # noqa: DTZ001 - as openpyxl gives it
        ("commissioned_on", date(2026, 1, 31), "2026-01-31"),
        ("origin", "真实", "real"),
        ("origin", "REAL", "real"),
        ("device_class", "运行设备", "operating"),
        ("name", "", None),
        ("name", "\u3000", None),
        ("name", Plain("null"), None),
        ("name", "null", "null"),
    ],
)
def test_a_cell_is_read_as_its_field_needs(name: str, cell: Any, value: Any) -> None:
    assert read(column(name), cell) == value


@pytest.mark.parametrize(
    ("name", "cell", "key"),
    [
        ("name", True, "book.not-text"),
        ("name", datetime(2026, 1, 1), "book.not-text"),  # noqa: DTZ001 - as openpyxl gives it
        ("serial_number", 1234567890123456, "book.number-loses-digits"),
        ("name", "a\x00b", "book.control-character"),
        ("name", "\ud800", "book.control-character"),
        ("code", "a\nb", "book.control-character"),
        ("code", "x" * 65, "book.too-long"),
        ("name", "x" * 201, "book.too-long"),
        ("interval_s", "fast", "book.not-a-number"),
        ("interval_s", "1,000", "book.not-a-number"),
        ("interval_s", "1_0", "book.not-a-number"),
        ("interval_s", "nan", "book.not-a-number"),
        ("interval_s", "1e999", "book.not-a-number"),
        ("interval_s", 10**400, "book.not-a-number"),
        ("interval_s", True, "book.not-a-number"),
        ("interval_s", 0, "book.out-of-range"),
        ("interval_s", -1, "book.out-of-range"),
        ("writable", "maybe", "book.not-a-boolean"),
        ("writable", 2, "book.not-a-boolean"),
        ("commissioned_on", "2026-02-30", "book.not-a-date"),
        ("commissioned_on", "yesterday", "book.not-a-date"),
        ("commissioned_on", 46000, "book.not-a-date"),
        ("origin", "genuine", "book.not-a-choice"),
        ("shift_pattern", "always", "book.not-shifts"),
        ("shift_pattern", {"shifts": [{"days": [None], "start": "1:00", "end": "2:00"}]}, "book.not-shifts"),
        ("connection", "tcp", "book.not-a-mapping"),
        ("connection", {"host": "a\x00"}, "book.control-character"),
    ],
)
def test_a_cell_that_holds_something_else_is_refused_by_name(name: str, cell: Any, key: str) -> None:
    with pytest.raises(CellError) as caught:
        read(column(name), cell)
    assert caught.value.key == key


def test_unquoted_scalars_of_open_dictionaries_mean_what_yaml_1_2_says() -> None:
    written = {
        "host": Plain("192.0.2.10"),
        "port": Plain("502"),
        "gap": Plain("1.5"),
        "tls": Plain("true"),
        "name": Plain("no"),
        "code": Plain("0042"),
        "none": Plain("null"),
        "quoted": "502",
        "list": [Plain("1"), "1"],
    }
    assert free(written) == {
        "host": "192.0.2.10",
        "port": 502,
        "gap": 1.5,
        "tls": True,
        "name": "no",
        "code": "0042",
        "none": None,
        "quoted": "502",
        "list": [1, "1"],
    }


@pytest.mark.parametrize(
    ("cell", "value"),
    [("502", 502), ("５０２", 502), ('"502"', "502"), (502.0, 502), ("[1, 2]", [1, 2]), ("-1.5", -1.5)],
)
def test_a_cell_of_an_open_dictionary_is_a_number_unless_quoted(cell: Any, value: Any) -> None:
    assert read_free_cell(cell) == value


@pytest.mark.parametrize("cell", ["{", "[1", '"', "[" * 100_000, "[NaN]"])
def test_a_cell_that_begins_like_json_and_is_not_is_refused(cell: str) -> None:
    with pytest.raises(CellError):
        read_free_cell(cell)


storable = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\ufffe\uffff"), max_size=20
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | storable,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(storable, inner, max_size=3),
    max_leaves=6,
)


@given(values)
def test_what_is_written_of_an_open_value_is_read_as_the_same(value: Any) -> None:
    cell = write_free_cell(value)
    again = read_free_cell(str(cell))
    assert again == value
    assert isinstance(again, bool) == isinstance(value, bool)


@given(st.text())
def test_escaped_text_never_begins_a_formula_and_comes_back(text: str) -> None:
    escaped = escape(text)
    assert not escaped.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert unescape(escaped) == text
