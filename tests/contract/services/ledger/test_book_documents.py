"""What the README and the catalogue promise of the device book holds."""

import re
from pathlib import Path

import pytest

from deploy.protocols import protocol_infos
from muster.catalogue import LANGUAGES, say, texts
from services.ledger.cells import choice_key
from services.ledger.checks import check
from services.ledger.columns import message_key
from services.ledger.document import SHEETS, sheet_columns
from services.ledger.files import load
from services.ledger.registered import GatewayRow, Registered
from services.ledger.templates import spread, template

ROOT = Path(__file__).parents[4]
LEDGER = ROOT / "services" / "ledger"
KEY = re.compile(r'"(book\.[a-z0-9-]+)"')


@pytest.mark.parametrize("page", ["README.md", "services/ledger/README.md"])
def test_the_sample_books_of_the_documents_are_books_without_mistakes(page: str) -> None:
    samples = re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    assert samples
    registered = Registered(gateways={"demo-1": GatewayRow(code="demo-1", name="demo-1")})
    for sample in samples:
        report = check(load(sample.encode(), "yaml"), protocol_infos(), registered)
        assert [problem.say("en") for problem in report.errors + report.warnings] == []
        assert report.counts["devices"].created >= 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_column_sheet_and_choice_has_its_name(language: str) -> None:
    known = texts(language)  # type: ignore[arg-type]
    for sheet in SHEETS:
        assert f"book.sheet.{sheet}" in known
        for name, column in spread(sheet):
            assert message_key("column", sheet, name) in known, name
            for choice in column.field.choices:
                assert choice_key(column, choice) in known, choice


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_columns_of_a_sheet_have_one_heading(language: str) -> None:
    for sheet in SHEETS:
        headings = [texts(language)[message_key("column", sheet, name)] for name, _ in spread(sheet)]  # type: ignore[arg-type]
        assert len(set(headings)) == len(headings), sheet


def test_every_problem_that_the_code_names_is_in_the_catalogue_and_none_is_there_in_vain() -> None:
    named = {key for path in LEDGER.glob("*.py") for key in KEY.findall(path.read_text("utf-8"))}
    catalogue = {key for key in texts("zh-CN") if re.fullmatch(r"book\.[a-z0-9-]+", key)}
    assert named == catalogue


def test_every_field_is_described_in_the_readme() -> None:
    page = (LEDGER / "README.md").read_text("utf-8")
    for sheet in SHEETS:
        for column in sheet_columns(sheet):
            assert column.path[-1] in page, column.name


def test_a_problem_is_a_sentence_in_both_languages() -> None:
    book = load("设备编码,企业编码\nP-1,\n".encode(), "csv", sheet="devices")
    problem = book.problems.errors[0]
    assert problem.say("zh-CN") == "devices 第 2 行 B 列（企业编码）：不能为空"
    assert problem.say("en") == "devices, row 2, column B (企业编码): must be given"
    assert say("book.at-sheet", "en", sheet="s", problem="p", row=1, column="A", header="h") == "s: p"


def test_the_template_has_every_heading_in_its_language() -> None:
    for language in LANGUAGES:
        book = load(template(language), "xlsx")
        for sheet in SHEETS:
            assert set(book.layout(sheet).cells) == {name for name, _ in spread(sheet)}
