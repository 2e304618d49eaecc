"""Payloads become readings, and garbage never becomes a value."""

import contextlib
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.adapters.mqtt.mapping import Mapping, Stamp, Target
from gateway.adapters.mqtt.paths import compile_path, plain
from gateway.adapters.mqtt.values import TYPES, convert
from muster.errors import ConfigError, Rejected
from muster.quality import Quality
from muster.scans import NULL_BITS


def targets(*types: str) -> list[Target]:
    return [Target(n, kind, compile_path(f"$.v{n}", "path")) for n, kind in enumerate(types, 1)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=4), below, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=200))
def test_bytes_give_a_reading_or_are_refused(raw: bytes) -> None:
    with contextlib.suppress(Rejected):
        Mapping(targets(*sorted(TYPES))).read(raw)


@given(st.dictionaries(st.sampled_from([f"v{n}" for n in range(1, 14)]), JSON))
def test_every_value_is_finite_or_absent_with_what_is_wrong(payload: dict[str, Any]) -> None:
    kinds = sorted(TYPES)
    try:
        read = Mapping(targets(*kinds)).read(json.dumps(payload).encode())
    except Rejected:
        return  # NaN and infinities are no JSON
    for record in read.records:
        present = record.value.view(np.uint64) != NULL_BITS
        assert np.isfinite(record.value[present]).all()
        texts = {position for position, _ in record.texts}
        for index in np.flatnonzero(~present):
            position = record.first + int(index)
            assert position in texts or (record.quality is not None and record.quality[index] != 0)


@given(JSON, st.sampled_from(sorted(TYPES)))
def test_a_value_that_is_good_says_what_the_payload_said(raw: Any, kind: str) -> None:
    value, quality, text = convert(raw, kind)
    if quality != 0:
        assert math.isnan(value)
        assert text is None
    elif text is not None:
        assert kind == "string" or str(int(float(raw)) if isinstance(raw, float) else int(raw)) == text
    elif kind != "bool":
        assert value == float(raw)


@example(["\x1f", "𐔀"], 0)
@given(st.lists(st.text(max_size=6) | st.integers(0, 50), max_size=4), st.integers())
def test_the_path_that_discovery_writes_finds_the_leaf_again(keys: list[str | int], leaf: int) -> None:
    document: Any = leaf
    for key in reversed(keys):
        document = [None] * key + [document] if isinstance(key, int) else {key: document}
    assert compile_path(plain(keys), "path").one(document) == leaf


@pytest.mark.parametrize("text", ["", "temp", "$[", "$.a[?", "$.a b["])
def test_what_is_no_jsonpath_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^here: "):
        compile_path(text, "here")


@pytest.mark.parametrize(
    ("raw", "unit"),
    [
        ('"2024-05-01T08:00:00+08:00"', "iso"),
        ('"2024-05-01T00:00:00Z"', "iso"),
        ("1714521600", "s"),
        ("1714521600.0", "s"),
        ('"1714521600000"', "ms"),
        ("1714521600000000", "us"),
        ("1714521600000000000", "ns"),
    ],
)
def test_a_source_time_is_read_exactly(raw: str, unit: Any) -> None:
    mapping = Mapping(targets("float64"), Stamp(compile_path("$.ts", "ts"), unit))
    (record,) = mapping.read(f'{{"ts": {raw}, "v1": 1}}'.encode()).records
    assert record.time == 1_714_521_600_000_000


@pytest.mark.parametrize("raw", ['"2024-05-01T08:00:00"', "null", "true", "[]", '"soon"', "1e300", "-1e25"])
def test_a_time_that_is_none_brings_no_value(raw: str) -> None:
    for unit in ("iso", "s"):
        mapping = Mapping(targets("float64"), Stamp(compile_path("$.ts", "ts"), unit))  # type: ignore[arg-type]
        with pytest.raises(Rejected):
            mapping.read(f'{{"ts": {raw}, "v1": 1}}'.encode())


def test_records_are_scans_of_their_own_and_a_wrong_one_does_not_spoil_the_others() -> None:
    mapping = Mapping(
        targets("float64"), Stamp(compile_path("$.t", "t"), "s"), records=compile_path("$.data[*]", "r")
    )
    read = mapping.read(b'{"data": [{"t": 1, "v1": 5}, {"t": "x", "v1": 6}, {"t": 3, "v1": 7}]}')
    assert [(one.time, one.value.tolist()) for one in read.records] == [
        (1_000_000, [5.0]),
        (3_000_000, [7.0]),
    ]
    assert len(read.problems) == 1


def test_what_did_not_come_among_what_came_is_marked_and_the_rest_left_out() -> None:
    (record,) = (
        Mapping(targets("float64", "float64", "float64", "int8")).read(b'{"v2": 1, "v4": 300}').records
    )
    assert record.first == 2
    assert record.quality is not None
    assert record.quality.tolist() == [0, Quality.NOT_ANSWERED, Quality.OUT_OF_RANGE]


def test_integers_beyond_a_float_are_texts_to_the_last_digit() -> None:
    (record,) = Mapping(targets("uint64")).read(b'{"v1": 18446744073709551615}').records
    assert record.texts == [(1, "18446744073709551615")]


def test_scale_and_offset_apply_and_overflow_is_no_value() -> None:
    path = compile_path("$", "path")
    (record,) = Mapping([Target(1, "float64", path, 0.5, 10.0)]).read(b"4").records
    assert record.value.tolist() == [12.0]
    (record,) = Mapping([Target(1, "float64", path, 1e300, 0.0)]).read(b"1e300").records
    assert record.quality is not None
    assert record.quality.tolist() == [Quality.OUT_OF_RANGE]


def test_numbers_that_a_scale_takes_out_of_range_are_none_and_say_so() -> None:
    paths = [Target(n, "float64", compile_path(f"$.v{n}", "path"), 1e300) for n in (1, 2)]
    (record,) = Mapping(paths).read(b'{"v1": 1e300, "v2": 2}').records
    assert record.value.view(np.uint64)[0] == NULL_BITS
    assert record.value[1] == 2e300
    assert record.quality is not None
    assert record.quality.tolist() == [Quality.OUT_OF_RANGE, 0]


@pytest.mark.parametrize("text", ['{"v": 1}', "[1], 2", ""])
def test_a_text_is_not_read_as_json_once_more(text: str) -> None:
    path = compile_path("$..v", "path")
    assert path.all({"v": 1}) == [1]
    assert path.all(text) == []
    mapping = Mapping([Target(1, "float64", path)], identity={"serial": path})
    read = mapping.read(json.dumps(text).encode())
    assert (read.records, mapping.identity(read.document)) == ([], {})
