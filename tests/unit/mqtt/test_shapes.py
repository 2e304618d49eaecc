"""Payloads read at once give what the general way gives, to the bit, or nothing."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.mqtt.mapping import Mapping, Read, Stamp, Target
from gateway.adapters.mqtt.paths import compile_path
from gateway.adapters.mqtt.values import TYPES
from muster.errors import Rejected

PATHS = ["$.a", "$.b", "$.in.a", "$.in['b c']", "$.in.deep.x", "$.list[0]", "$.list[2]", "$.rows[1].v"]
ODD_PATHS = ["$[0]", "$", "$.a.b", "$..x"]
FITTING = {"bool": ["true", "false"], "float64": ["1.5", "-0.0", "7", "1e300"], "float32": ["-2.5", "3"]}
NUMBERS = [
    *("0", "-0", "-0.0", "1", "5.0", "-129", "256", "1.5", "1e3", "1e-400", "3.5e38", "1e308", "1e400"),
    *("9007199254740992", "9007199254740993", "-9007199254740993", "18446744073709551616"),
    *("123456789012345678901234567890", "1" + "0" * 400, "true", "false", "null", '"7"', '"on"', "[]", "{}"),
]
STAMPS = ["1700000000", "1.5e9", '"1700000000"', '"2026-01-01T00:00:00Z"', "null", "true", str(10**30), "-1"]
EXTRAS = ['{"y": [1]}', '"text"', "1", '"\\ud800"', '"\xff"']


@st.composite
def mappings(draw: st.DrawFn) -> tuple[Mapping, Mapping, list[Target], str | None]:
    """Give a mapping, one that must read payloads whole, their tags and where their time stands."""
    odd = draw(st.integers(0, 9)) == 9
    paths = draw(
        st.lists(st.sampled_from(PATHS + ODD_PATHS if odd else PATHS), min_size=1, max_size=5, unique=True)
    )
    kinds = sorted(TYPES if odd else TYPES - {"string"})
    scaled = draw(st.integers(0, 3)) == 3
    scale, offset = (draw(st.sampled_from([0.1, 1e300])), 0.5) if scaled else (1.0, 0.0)
    targets = [
        Target(at, draw(st.sampled_from(["float64", *kinds])), compile_path(path, "path"), scale, offset)
        for at, path in enumerate(paths, draw(st.integers(1, 3)))
    ]
    where = draw(st.sampled_from([None, "$.t", "$.in.t", "$.a" if odd else "$.t"]))
    unit = draw(st.sampled_from(["s", "ms", "us", "ns", "iso"]))
    stamp = None if where is None else Stamp(compile_path(where, "path"), unit)
    whole = Mapping(targets, stamp, identity={"serial": compile_path("$.sn", "path")}, max_bytes=4096)
    return Mapping(targets, stamp, max_bytes=4096), whole, targets, where


@st.composite
def documents(draw: st.DrawFn, targets: list[Target], where: str | None) -> bytes:
    """Give a payload that mostly has what the tags want, as JSON texts that no encoder would write, too."""
    tree: dict[Any, Any] = {}
    odd = draw(st.integers(0, 3)) == 3
    for one in targets:
        if not odd or draw(st.integers(0, 7)):
            texts = FITTING.get(one.type, ["0", "-0", "100"])
            _put(tree, one.path.keys or (), draw(st.sampled_from(NUMBERS if odd else texts)))
    if where is not None and (not odd or draw(st.integers(0, 7))):
        _put(
            tree, compile_path(where, "path").keys or (), draw(st.sampled_from(STAMPS if odd else STAMPS[:4]))
        )
    for extra in draw(st.lists(st.sampled_from(["x", "in", "list", "\xe9", 'q"']), max_size=2)):
        _put(tree, (extra,), draw(st.sampled_from(EXTRAS if odd else EXTRAS[:3])))
    text = _text(tree)
    if odd and not draw(st.integers(0, 4)):
        text = text[: draw(st.integers(0, len(text)))]
    return text.encode("latin-1" if odd else "utf-8")


def _put(tree: dict[Any, Any], keys: tuple[str | int, ...], text: str) -> None:
    for key in keys[:-1]:
        below = tree.setdefault(key, {})
        if not isinstance(below, dict):
            return
        tree = below
    if keys:
        tree.setdefault(keys[-1], text)


def _text(tree: Any) -> str:
    if isinstance(tree, str):
        return tree
    if tree and all(isinstance(key, int) for key in tree):
        return "[" + ", ".join(_text(tree.get(at, "null")) for at in range(max(tree) + 1)) + "]"
    return (
        "{"
        + ", ".join(
            f"{json.dumps(str(key), ensure_ascii=False)}: {_text(below)}" for key, below in tree.items()
        )
        + "}"
    )


def _outcome(call: Callable[[bytes], Any], payload: bytes) -> Any:
    try:
        return call(payload)
    except Rejected as error:
        return f"refused: {error}"


def _plain(outcome: Read | str) -> Any:
    if isinstance(outcome, str):
        return outcome
    return [
        (
            one.time,
            one.first,
            one.value.tobytes(),
            None if one.quality is None else one.quality.tolist(),
            one.texts,
        )
        for one in outcome.records
    ]


@given(st.data())
def test_what_is_read_at_once_is_what_the_general_way_reads(data: st.DataObject) -> None:
    mapping, other, targets, where = data.draw(mappings())
    payloads = data.draw(st.lists(documents(targets, where), min_size=1, max_size=4))
    for payload in payloads * 2:  # what stands beside the tags is known the second time
        quick, whole = _outcome(mapping.quick, payload), _outcome(mapping.read, payload)
        assert _plain(_outcome(other.read, payload)) == _plain(whole)
        if isinstance(quick, str):
            assert quick == whole
        elif quick is not None:
            (record,) = whole.records
            assert quick == (record.time, record.value.tobytes())
            assert (mapping.first, len(targets)) == (record.first, len(record.value))
            assert record.quality is None
            assert record.texts == []


def keyed(*types: str) -> list[Target]:
    return [Target(at, kind, compile_path(f"$.v{at}", "path")) for at, kind in enumerate(types, 1)]


def test_the_usual_payload_is_read_at_once() -> None:
    mapping = Mapping(keyed("float64", "bool", "int16"), Stamp(compile_path("$.ts", "path"), "ms"))
    found = mapping.quick(b'{"ts": 5, "v1": 1, "v2": true, "v3": -7}')
    assert found == (5000, np.array([1.0, 1.0, -7.0]).tobytes())


@pytest.mark.parametrize("payload", [b'{"v1": 1, "unit": {"of": "x"}}', b'{"more": [1, "2"], "v1": 1}'])
def test_a_key_that_no_tag_wants_is_known_from_its_second_time_on(payload: bytes) -> None:
    mapping = Mapping(keyed("float64"))
    assert mapping.quick(payload) is None
    mapping.read(payload)
    assert mapping.quick(payload) == (None, np.array([1.0]).tobytes())
    assert mapping.quick(b'{"v1": 2}') == (None, np.array([2.0]).tobytes())


def test_elements_behind_those_of_an_array_that_tags_want_are_known_from_their_second_time_on() -> None:
    mapping = Mapping([Target(1, "float64", compile_path("$.v[1]", "path"))])
    assert mapping.quick(b'{"v": ["x", 2]}') == (None, np.array([2.0]).tobytes())
    mapping.read(b'{"v": [0, 1, 2, 3]}')
    assert mapping.quick(b'{"v": [0, 1, "x"]}') == (None, np.array([1.0]).tobytes())
    assert mapping.quick(b'{"v": [0]}') is None


def test_keys_that_change_all_the_time_are_not_remembered_for_ever() -> None:
    mapping = Mapping(keyed("float64"))
    for number in range(200):
        mapping.read(b'{"v1": 1, "k%d": 0}' % number)
    assert mapping.quick(b'{"v1": 1, "k63": 0}') is not None
    assert mapping.quick(b'{"v1": 1, "k64": 0}') is None


def test_a_payload_with_records_or_an_identity_is_read_whole() -> None:
    path = compile_path("$.v1", "path")
    assert Mapping(keyed("float64"), records=compile_path("$.r", "path")).quick(b'{"v1": 1}') is None
    assert Mapping(keyed("float64"), identity={"serial": path}).quick(b'{"v1": 1}') is None
    assert Mapping(keyed("float64"), max_bytes=8).quick(b'{"v1": 1}') is None
