"""A device document is used whole or refused with the field that is wrong; nothing else ever happens."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import subjects
from gateway.documents import BadDocument, Copy, decode, number_in
from gateway.outbox.folder import Folder
from muster.device import Device, ReportMode, Tag
from muster.errors import Rejected

DEVICE = Device(
    7,
    1,
    "P-1",
    "泵",
    1,
    "modbus",
    {"host": "x"},
    ReportMode.POLLED,
    1.0,
    [Tag(1, "speed", "float32", {"register": 0}), Tag(3, "load", "float32", {"register": 2})],
)
DOCUMENT = msgspec.json.encode(DEVICE)


def changed(**fields: object) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(DOCUMENT) | fields)


def test_a_good_document_is_its_device() -> None:
    assert decode(7, DOCUMENT) == DEVICE


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (changed(interval_s="1"), "interval_s"),
        (changed(interval_s=0), "interval_s"),
        (changed(interval_s=-1.0), "interval_s"),
        (changed(number=8), "number"),
        (changed(report_mode="sometimes"), "report_mode"),
        (changed(colour="red"), "colour"),
        (changed(tags=[{"position": 1}]), "tags[0].name"),
        (changed(tags=[{"position": 0, "name": "a", "type": "bool", "address": {}}]), "tags.a.position"),
        (changed(tags=[{"position": 32768, "name": "a", "type": "bool", "address": {}}]), "tags.a.position"),
        (
            changed(tags=[{"position": 2, "name": n, "type": "bool", "address": {}} for n in "ab"]),
            "tags.b.position",
        ),
        (
            changed(tags=[{"position": 1, "name": "a", "type": "bool", "address": {}, "hue": 1}]),
            "tags[0].hue",
        ),
        (changed(connection=[]), "connection"),
        (b"", ""),
        (b"[]", ""),
    ],
)
def test_a_wrong_document_names_its_field(document: bytes, field: str) -> None:
    with pytest.raises(BadDocument) as caught:
        decode(7, document)
    assert caught.value.field == field
    assert caught.value.problem


@given(
    document=st.binary()
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.dictionaries(
            st.sampled_from(["number", "tags", "interval_s", "connection", "name", "x"]), inner
        ),
    ).map(msgspec.json.encode)
)
def test_whatever_arrives_is_a_device_or_a_bad_document(document: bytes) -> None:
    with pytest.raises(BadDocument):
        decode(7, document)


def test_only_keys_of_this_gateways_devices_have_a_number() -> None:
    assert number_in(subjects.device_key(3, 42), 3) == 42
    for key in (
        subjects.device_key(4, 42),
        "gateway.3.device.",
        "gateway.3.device.x",
        "gateway.3.device.1.2",
        "gateway.3.device.99999999999",
        "gateway.33.device.1",
    ):
        assert number_in(key, 3) is None


def test_the_copy_on_disk_is_read_back_only_by_its_gateway_and_a_damaged_one_is_refused(
    tmp_path: Path,
) -> None:
    folder = Folder(tmp_path)
    assert Copy(folder, 3).load() == {}
    Copy(folder, 3).save({1: b"{}", 2: b"\xff not even JSON"})
    assert Copy(folder, 3).load() == {1: b"{}", 2: b"\xff not even JSON"}
    assert Copy(folder, 4).load() == {}
    (tmp_path / "documents.json").write_bytes(b"{")
    with pytest.raises(Rejected, match="documents"):
        Copy(folder, 3).load()
    folder.close()
