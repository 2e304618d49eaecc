"""Whose a book's entries are: no enterprise touches another's."""

from services.ledger.checks import resolve
from services.ledger.files import load
from tests.unit.services.ledger.books import BOOK, Protocols, checked, registered, said


def test_one_enterprises_book_cannot_touch_anothers(protocols: Protocols) -> None:
    existing = registered()
    existing.scope = "acme"
    existing.taken_gateways, existing.taken_models = frozenset({"far"}), frozenset({"theirs"})
    text = """
enterprises: [{code: other, name: x}]
sites: [{enterprise: other, code: s, name: x}]
gateways: [{code: far}, {code: gw, name: mine now}, {code: shared, enterprise: null}, {code: own}]
models:
  - {code: theirs, name: x, protocol: modbus, device_class: other, tags: [{name: t, type: u, address: {}}]}
  - {code: pump, interval_s: 60}
devices: [{enterprise: other, code: X, name: x, model: pump}]
"""
    assert [(key, row) for key, _, row, _ in said(checked(text, protocols, existing))] == [
        ("book.outside-scope", 2),
        ("book.outside-scope", 3),
        ("book.code-taken", 4),
        ("book.shared-not-yours", 4),
        ("book.shared-not-yours", 4),
        ("book.code-taken", 6),
        ("book.shared-not-yours", 7),
        ("book.outside-scope", 8),
    ]
    own = resolve(load(b"gateways: [{code: own}, {code: gw}]", "yaml"), protocols, existing)
    assert own.report().ok
    assert [(row.code, row.enterprise) for row in own.writes.gateways] == [("own", "acme")]


def test_a_gateway_or_model_of_another_enterprise_is_refused(protocols: Protocols) -> None:
    text = BOOK.replace("name: Acme}]", "name: Acme}, {code: b, name: B}]").replace(
        "{code: gw}", "{code: gw, enterprise: b}"
    )
    text = text.replace("    interval_s: 2", "    enterprise: b")
    assert [key for key, *_ in said(checked(text, protocols))] == [
        "book.model-elsewhere",
        "book.gateway-elsewhere",
    ]


def test_a_gateway_cannot_be_given_away_under_its_devices(protocols: Protocols) -> None:
    text = "enterprises: [{code: b, name: B}]\ngateways: [{code: gw, enterprise: b}]"
    assert [key for key, *_ in said(checked(text, protocols, registered()))] == ["book.owner-fixed"]
