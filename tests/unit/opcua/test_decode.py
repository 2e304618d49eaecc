"""Data values become numbers with a quality, and changes become scans."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.opcua.config import Address, Connection, Place, endpoint, understand
from gateway.adapters.opcua.decode import Decoded, Groups, decode, quality_of, time_of
from muster.device import Device, ReportMode, Tag
from muster.errors import ConfigError
from muster.quality import Quality


def place(kind: str, index: int | str | None = None) -> Place:
    return Place(Tag(1, "t", kind, {}), Address(node="i=1", index=index))


@given(st.integers(0, 2**32 - 1))
def test_a_status_codes_severity_decides_the_quality(status: int) -> None:
    assert (quality_of(status) == Quality.GOOD) == (status >> 30 == 0)
    assert (quality_of(status) == Quality.UNCERTAIN) == (status >> 30 == 1)


@given(
    st.one_of(
        st.none(), st.text(), st.binary(), st.floats(), st.integers(), st.booleans(), st.lists(st.text())
    ),
    st.sampled_from(["bool", "int16", "float64", "string", "datetime", "enum"]),
)
def test_no_finite_value_is_made_of_another_type(raw: object, kind: str) -> None:
    said = decode(ua.DataValue(ua.Variant(raw, ua.VariantType.Null)), place(kind))
    if np.isfinite(said.value):
        assert isinstance(raw, bool | int | float)
        assert said.value == float(raw)


def test_an_element_of_an_array_is_taken_by_its_index() -> None:
    data = ua.DataValue(ua.Variant([1.0, 2.5], ua.VariantType.Double))
    assert decode(data, place("float64", 1)).value == 2.5
    assert decode(data, place("float64", 2)).quality == Quality.NO_VALUE


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_without_scale_and_offset_keeps_its_bits(number: float) -> None:
    said = decode(ua.DataValue(ua.Variant(number, ua.VariantType.Double)), place("float64"))
    assert np.float64(said.value).tobytes() == np.float64(number).tobytes()
    assert said.quality == Quality.GOOD


@pytest.mark.parametrize("raw", [float("inf"), float("nan"), 10**400, 1e308])
def test_what_no_number_can_hold_is_out_of_range(raw: float) -> None:
    scaled = Place(Tag(1, "t", "float64", {}, scale=1e10), Address(node="i=1"))
    assert (
        decode(ua.DataValue(ua.Variant(raw, ua.VariantType.Double)), scaled).quality == Quality.OUT_OF_RANGE
    )


def test_large_integers_are_kept_as_text() -> None:
    data = ua.DataValue(ua.Variant(2**63, ua.VariantType.UInt64))
    assert decode(data, place("uint64")).text == str(2**63)


def test_without_a_source_time_the_servers_is_taken_and_then_ours() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert time_of(ua.DataValue(ServerTimestamp=at), 5) == int(at.timestamp() * 1e6)
    assert time_of(ua.DataValue(), 5) == 5


def test_changes_with_one_source_time_make_one_scan() -> None:
    groups = Groups()
    for position, time in ((3, 10), (5, 10), (4, 20), (3, 10)):
        groups.add(time, position, Decoded(float(position), Quality.GOOD))
    assert [(time, first, len(value)) for time, first, value, _ in groups.scans()] == [
        (10, 3, 3),
        (10, 3, 1),
        (20, 4, 1),
    ]


def device(**connection: object) -> Device:
    tags = [Tag(1, "t", "float64", {"node": "ns=2;s=T"})]
    return Device(1, 1, "d", "d", 1, "opcua", dict(connection), ReportMode.PERIODIC, 1.0, tags)


def test_two_spellings_of_a_server_are_one_endpoint_and_two_roots_are_two() -> None:
    assert endpoint(Connection(url="opc.tcp://HOST")) == endpoint(Connection(url="opc.tcp://host:4840/"))
    assert endpoint(Connection(url="opc.tcp://h", root="i=1")) != endpoint(
        Connection(url="opc.tcp://h", root="i=2")
    )


def test_an_unprotected_session_must_be_asked_for() -> None:
    assert understand(device(url="opc.tcp://h")).connection.security.mode == "sign_and_encrypt"
    with pytest.raises(ConfigError, match=r"connection\.security"):
        understand(device(url="opc.tcp://h", security={"policy": "None"}))
    understand(device(url="opc.tcp://h", security={"policy": "None", "mode": "none"}))


def test_a_node_may_continue_the_devices_root() -> None:
    tags = [Tag(1, "t", "float64", {"node": "{root}.T"})]
    given = {"url": "opc.tcp://h", "root": "nsu=urn:x;s=Press"}
    one = Device(1, 1, "d", "d", 1, "opcua", given, ReportMode.PERIODIC, 1.0, tags)
    assert understand(one).places[0].address.node == "nsu=urn:x;s=Press.T"
    with pytest.raises(ConfigError, match=r"needs connection\.root"):
        understand(msgspec.structs.replace(one, connection={"url": "opc.tcp://h"}))


@pytest.mark.parametrize(
    ("tag", "field"),
    [
        ({"type": "float64", "writable": True}, "tags[t].address.call.off_method"),
        ({"type": "bool", "writable": False}, "tags[t].address.call"),
    ],
)
def test_methods_go_with_a_tag_that_they_can_write(tag: dict[str, object], field: str) -> None:
    address = {"node": "i=1", "call": {"method": "i=2", "off_method": "i=3"}}
    tags = [Tag(position=1, name="t", address=address, **tag)]  # type: ignore[arg-type]
    device = Device(1, 1, "P", "P", 1, "opcua", {"url": "opc.tcp://a:1"}, ReportMode.POLLED, 1.0, tags)
    with pytest.raises(ConfigError) as caught:
        understand(device)
    assert str(caught.value).startswith(field)
