"""Every protocol room keeps the adapter contract's outer shape, and what the gateway says of itself has words."""

import inspect
from pathlib import Path

import pytest

import gateway.adapters
from gateway.adapter import Description, Room, protocols
from gateway.recovery import gap
from muster.catalogue import LANGUAGES, Language, say, texts

SAID = {
    "clock-jump": {"moved_s": 3.5},
    "document-invalid": {"field": "interval_s", "problem": "is not above 0"},
    "gateway-down": {},
    "gateway-stalled": {},
    "gateway-stopped": {},
    "handed-over": {},
    "lease-lost": {},
    "outbox-damaged": {},
    "outbox-full": {},
    "outbox-unwritable": {},
    "room-failed": {},
    "unknown-protocol": {"field": "protocol", "protocol": "pigeon"},
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reason", SAID)
def test_every_reason_that_the_gateway_gives_has_words_that_its_facts_fill(
    reason: str, language: Language
) -> None:
    assert reason in texts(language)
    assert "{" not in say(reason, language, **SAID[reason])


def test_a_room_is_named_after_its_folder_and_refuses_unknown_keys() -> None:
    folders = {path.parent.name for path in Path(gateway.adapters.__path__[0]).glob("*/__init__.py")}
    assert set(protocols()) == folders
    for description in protocols().values():
        assert isinstance(description, Description)
        for model in (description.connection, description.address):
            assert model.model_config.get("extra") == "forbid", model
        assert description.types


def test_a_gap_is_never_turned_round() -> None:
    event = gap("gateway-down", 20, 10)
    assert (event.at, event.until) == (10, 20)


def test_the_contract_of_a_room_is_documented_method_by_method() -> None:
    methods = [member for name, member in inspect.getmembers(Room, inspect.isfunction) if name[0] != "_"]
    assert {"run", "configure", "read", "write", "discover"} <= {method.__name__ for method in methods}
    assert all(method.__doc__ for method in methods)
