"""YAML books: every mistake with its line, and nothing that unfolds."""

import pytest

from services.ledger.document import Book
from services.ledger.files import load


def errors(text: str) -> list[tuple[str, int | None, str | None]]:
    book = load(text.encode(), "yaml")
    return [(problem.key, problem.row, problem.header) for problem in book.problems.errors]


def test_an_empty_document_is_an_empty_book() -> None:
    for text in ("", "# nothing\n", "devices:\n", "devices: []\nmodels: null\n"):
        book = load(text.encode(), "yaml")
        assert not book.problems.errors
        assert book.devices == []


def test_json_is_read_as_yaml() -> None:
    book = load(b'{"enterprises": [{"code": "a", "name": "A"}]}', "yaml")
    assert [entry.code for entry in book.enterprises] == ["a"]


def test_a_byte_order_mark_does_no_harm() -> None:
    assert load(b"\xef\xbb\xbfenterprises: [{code: a}]", "yaml").enterprises[0].code == "a"


def test_words_that_other_yaml_takes_for_something_else_stay_text() -> None:
    book = load(b"enterprises: [{code: no, name: 0042, industry: 12:30}]", "yaml")
    entry = book.enterprises[0]
    assert (entry.code, entry.name, entry.industry) == ("no", "0042", "12:30")


def test_each_mistake_is_named_with_its_own_line() -> None:
    text = """\
models:
  - code: m
    name: M
    interval_s: fast
    colour: red
    tags:
      - {name: t, type: uint16, address: 7}
      - name: u
        adress: {}
devices:
  - enterprise: e
    name: without code
  - just text
  - enterprise: e
    code: c
    origin: genuine
    attestation: {attested_by: me, when: now}
"""
    assert errors(text) == [
        ("book.not-a-number", 4, "interval_s"),
        ("book.unknown-key", 5, "colour"),
        ("book.not-a-mapping", 7, "address"),
        ("book.unknown-key", 9, "adress"),
        ("book.required", 11, "code"),
        ("book.not-a-mapping", 13, None),
        ("book.not-a-choice", 16, "origin"),
        ("book.unknown-key", 17, "attestation.when"),
        ("book.required", 14, "attestation.attested_on"),
        ("book.required", 14, "attestation.nameplate"),
    ]


@pytest.mark.parametrize(
    ("text", "key", "row"),
    [
        ("- a\n", "book.not-a-mapping", 1),
        ("devices: {a: 1}", "book.not-a-list", 1),
        ("device:\n  - {}\n", "book.unknown-sheet", 2),
        ("devices:\n  - code: a\n    code: b\n", "book.key-twice", 3),
        ("devices: []\ndevices: []\n", "book.key-twice", 2),
        ("devices: [{? [a] : b}]", "book.yaml-key", 1),
        ("devices: [{code: !!python/object:os.system x}]", "book.yaml-tag", 1),
        ("devices: [{code: [\n", "book.yaml-syntax", 2),
        ("devices: [{code: *nothing}]", "book.yaml-syntax", 1),
        ("devices: &a [*a]", "book.yaml-syntax", 1),
        ("devices: []\n---\ndevices: []\n", "book.yaml-documents", 2),
        ("devices: " + "[" * 100_000, "book.yaml-too-deep", 1),
        ("devices: [{code: \x07}]", "book.yaml-syntax", 1),
    ],
)
def test_what_is_no_book_is_refused_where_it_goes_wrong(text: str, key: str, row: int) -> None:
    found = errors(text)
    assert [(found_key, found_row) for found_key, found_row, _ in found] == [(key, row)]


def test_text_that_is_not_utf_8_is_refused() -> None:
    book = load(b"enterprises: [{code: \xff}]", "yaml")
    assert [problem.key for problem in book.problems.errors] == ["book.encoding-unknown"]


def test_aliases_are_allowed_and_a_bomb_of_them_is_refused_before_it_unfolds() -> None:
    book = load(b"sites: [{enterprise: &e acme, code: a}, {enterprise: *e, code: b}]", "yaml")
    assert [site.enterprise for site in book.sites] == ["acme", "acme"]
    lines = ["sites:", " - &x0 [lol]"]
    lines += [f" - &x{n} [{', '.join([f'*x{n - 1}'] * 30)}]" for n in range(1, 13)]
    assert errors("\n".join(lines))[-1] == ("book.yaml-too-large", 7, None)


def test_only_the_first_200_mistakes_are_kept_and_all_are_counted() -> None:
    book = load(b"devices:\n" + b"  - {}\n" * 500, "yaml")
    assert book.problems.error_count == 1000
    assert len(book.problems.errors) == 200


def test_a_document_beyond_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.ledger.files.SIZE_LIMIT", 100)
    book = load(b"#" * 101, "yaml")
    assert [problem.key for problem in book.problems.errors] == ["book.file-too-large"]
    assert isinstance(book, Book)
