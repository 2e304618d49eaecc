"""A model whose document does not say how its devices report goes by its protocol."""

import pytest

from muster.device import ReportMode
from muster.protocol import ProtocolInfo
from services import ledger
from services.ledger.checks import resolve
from services.ledger.registered import ModelRow, Registered

PROTOCOLS = {
    "asked": ProtocolInfo("asked", "A", lambda device: ""),
    "telling": ProtocolInfo("telling", "T", lambda device: "", ReportMode.ON_CHANGE),
}
KNOWN = ModelRow(code="old", name="old", protocol="telling", device_class="operating", report_mode="periodic")


@pytest.mark.parametrize(
    ("said", "mode"),
    [
        ("code: a, protocol: asked", "polled"),
        ("code: a, protocol: telling", "on_change"),
        ("code: a, protocol: telling, report_mode: null", "on_change"),
        ("code: a, protocol: telling, report_mode: periodic", "periodic"),
        ("code: old, kind: pump", "periodic"),
        ("code: old, report_mode: null", "on_change"),
    ],
)
def test_a_model_reports_as_it_says_else_as_it_did_else_as_its_protocol_does(said: str, mode: str) -> None:
    tags = "" if "old" in said else ", tags: [{name: t, type: bool, address: {}}]"
    text = f"models: [{{{said}, name: n, device_class: operating{tags}}}]"
    registered = Registered(scope=None, models={"old": KNOWN})
    book = ledger.load(text.encode(), "yaml", name="book.yaml")
    resolution = resolve(book, PROTOCOLS, registered)
    assert resolution.problems.errors == []
    assert [one.report_mode for one in resolution.models.values() if one.code != "old" or "old" in said] == [
        mode
    ]
