"""Scans as the database sends them become the roll-ups that the definition gives, bit for bit."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.even_minutes import even_minutes
from store.rollup_rows import rollup_rows
from store.scan_rows import Row, parts
from store.tag_minutes import tag_minutes
from tests.copy_reader import Array, Reader

ODD = (
    0.0,
    -0.0,
    1e-300,
    5e-324,
    -5e-324,
    1e-290,
    1.0000001e-290,
    1e290,
    9.99e289,
    1.7e308,
    math.inf,
    -math.inf,
    math.nan,
)
NEGATIVE_NAN = struct.unpack(">d", bytes.fromhex("fff8000000000001"))[0]


@dataclass(frozen=True)
class Scan:
    """One scan; `flagged`: its array says that it may hold nulls, though none is there."""

    time: int
    received: int
    batch: int
    first: int
    values: tuple[float | None, ...]
    quality: tuple[int, ...] | None = None
    flagged: bool = False


def array(kind: int, form: str, first: int, items: Sequence[float | None], flagged: bool = False) -> bytes:
    """An array of one dimension as `array_send` gives it."""
    head = struct.pack(">5i", 1, flagged or None in items, kind, len(items), first)
    width = struct.calcsize(">" + form)
    return head + b"".join(
        struct.pack(">i", -1) if item is None else struct.pack(">i" + form, width, item) for item in items
    )


def values_of(scan: Scan) -> bytes:
    return array(701, "d", scan.first, scan.values, scan.flagged)


def sent(scans: Sequence[tuple[int, Scan, bytes, bytes | None]]) -> list[Row]:
    """What the database makes of scans, each with the number of its device-minute, its values and its qualities."""
    alike: dict[tuple[int, int | None], list[tuple[int, Scan, bytes, bytes | None]]] = {}
    for scan in scans:
        alike.setdefault((len(scan[2]), None if scan[3] is None else len(scan[3])), []).append(scan)
    return [
        (
            b"".join(struct.pack(">i", pair) for pair, *_ in group),
            b"".join(struct.pack(">q", scan.time) for _, scan, *_ in group),
            b"".join(struct.pack(">q", scan.received) for _, scan, *_ in group),
            b"".join(struct.pack(">q", scan.batch) for _, scan, *_ in group),
            b"".join(values for _, _, values, _ in group),
            None if group[0][3] is None else b"".join(qualities or b"" for *_, qualities in group),
        )
        for group in alike.values()
    ]


def sent_minutes(minutes: Sequence[Sequence[Scan]]) -> list[Row]:
    return sent(
        [
            (
                pair,
                scan,
                values_of(scan),
                None if scan.quality is None else array(21, "h", scan.first, scan.quality),
            )
            for pair, scans in enumerate(minutes)
            for scan in scans
        ]
    )


def rank(value: float) -> tuple[bool, float, float]:
    return math.isnan(value), 0.0 if math.isnan(value) else value, math.copysign(1.0, value)


def bits(value: float) -> int:
    whole = struct.pack(">d", math.nan if math.isnan(value) else value)
    return int.from_bytes(whole)


def by_definition(scans: Sequence[Scan]) -> list[Array] | None:
    """The six arrays of a device-minute, slowly."""
    readings: dict[int, list[tuple[tuple[int, int, int], float, int]]] = {}
    for scan in scans:
        for index, value in enumerate(scan.values):
            if value is not None:
                quality = 0 if scan.quality is None else scan.quality[index]
                place = (scan.time, scan.received, scan.batch)
                readings.setdefault(scan.first + index, []).append((place, value, quality))
    if not readings:
        return None
    columns: list[list[int | None]] = [[], [], [], [], [], []]
    for position in range(1, max(readings) + 1):
        of_tag = readings.get(position, [])
        ordered = sorted((place, rank(value), value) for place, value, quality in of_tag if quality == 0)
        good = [value for *_, value in ordered]
        row: list[int | None] = [len(of_tag), len(good)] if of_tag else [None, None]
        if good:
            ranked = sorted(good, key=rank)
            total = 0.0
            for value in good:
                total += value if 1e-290 < abs(value) < 1e290 else 0.0
            mean = 0.0 if abs(total) < 1e-290 else total / len(good)
            if any(not abs(value) < 1e290 for value in good):
                mean = math.nan
            row += [bits(ranked[0]), bits(ranked[-1]), bits(mean), bits(good[-1])]
        else:
            row += [None] * 4
        for column, item in zip(columns, row, strict=True):
            column.append(item)
    return [(1, column) for column in columns]


def rolled(minutes: int, rows: list[Row]) -> tuple[dict[int, list[Array]], set[int]]:
    """What the rows to be copied say of each device-minute, and which are left to the database."""
    found, odd = parts(rows)
    made: dict[int, list[Array]] = {}
    if not found:
        return made, odd
    numbers = np.arange(minutes)
    reader = Reader(b"".join(rollup_rows(numbers + 1, numbers * 60, tag_minutes(minutes, found), odd)))
    while reader.at < len(reader.body):
        assert reader.take("h") == 8
        device, time = reader.field("i"), reader.field("q")
        assert time == (device - 1) * 60
        arrays = [reader.array("i", 23) for _ in range(2)] + [reader.array("Q", 701) for _ in range(4)]
        made[device - 1] = [
            (first, [canonical(item) for item in items]) for first, items in filter(None, arrays)
        ]
    return made, odd


def canonical(item: int | None) -> int | None:
    """The bits of NaN, whichever it is, as one; they are no others' as an integer of 32 bits."""
    nan = item is not None and (item >> 52) & 0x7FF == 0x7FF and item & ((1 << 52) - 1)
    return bits(math.nan) if nan else item


PLAIN = st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda value: value == 0 or abs(value) > 1e-290)
VALUES = st.one_of(PLAIN, st.sampled_from((*ODD, NEGATIVE_NAN)), st.floats(), st.none())


@st.composite
def any_scans(draw: st.DrawFn) -> list[Scan]:
    scans = []
    for _ in range(draw(st.integers(0, 6))):
        values = draw(st.lists(VALUES, min_size=1, max_size=4))
        quality = st.lists(st.sampled_from((0, 0, 100, -5)), min_size=len(values), max_size=len(values))
        scans.append(
            Scan(
                draw(st.integers(0, 4)),
                draw(st.integers(0, 1)),
                draw(st.integers(0, 1)),
                draw(st.integers(1, 3)),
                tuple(values),
                draw(st.none() | quality.map(tuple)),
                draw(st.booleans()),
            )
        )
    return scans


@st.composite
def even_scans(draw: st.DrawFn) -> list[Scan]:
    """Scans of the same tags at different times, the newest first; now and then with a value out of the way."""
    size, first, count = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 6))
    values = (
        st.one_of(PLAIN, PLAIN, PLAIN, st.sampled_from((0.0, -0.0)))
        if draw(st.integers(0, 3))
        else st.floats()
    )
    items = st.lists(values, min_size=size, max_size=size).map(tuple)
    return [Scan(count - number, 7, number, first, draw(items)) for number in range(count)]


@given(st.lists(st.one_of(any_scans(), even_scans()), min_size=1, max_size=8))
def test_device_minutes_are_rolled_up_as_defined(minutes: list[list[Scan]]) -> None:
    made, odd = rolled(len(minutes), sent_minutes(minutes))
    due = {pair: arrays for pair, scans in enumerate(minutes) if (arrays := by_definition(scans)) is not None}
    assert made == due
    assert not odd


@given(st.lists(even_scans(), min_size=1, max_size=6), st.booleans())
def test_even_minutes_are_seen_as_such(minutes: list[list[Scan]], mixed: bool) -> None:
    scans = [(pair, scan, values_of(scan), None) for pair, scans in enumerate(minutes) for scan in scans]
    found, _ = parts(sent(scans[1::2] + scans[::2] if mixed else scans))
    seen = {
        pair
        for part in found
        if (even := even_minutes(part, np.ones(len(minutes), np.bool_))) is not None
        for pair in even.pair.tolist()
    }
    usual = {
        pair
        for pair, scans in enumerate(minutes)
        if all(value == 0 or 1e-290 < abs(value or 0.0) < 1e290 for scan in scans for value in scan.values)
    }
    assert seen == usual


def test_scans_of_different_tags_are_told_apart() -> None:
    scans = [Scan(3 - number, 0, 0, first, (float(first),)) for number, first in enumerate((2, 1, 2))]
    assert rolled(1, sent_minutes([scans]))[0] == {0: by_definition(scans)}


def test_of_two_scans_of_one_time_the_one_received_later_is_the_last() -> None:
    for received in ((1, 2), (2, 1)):
        scans = [Scan(1, at, 0, 1, (float(at),)) for at in received]
        made, _ = rolled(1, sent_minutes([scans]))
        assert made == {0: by_definition(scans)}
        assert made[0][5] == (1, [bits(2.0)])


SIMPLE = Scan(1, 2, 3, 1, (4.0,))
FLAT = array(701, "d", 1, [4.0, 5.0])
UNUSUAL = {
    "empty": (struct.pack(">3i", 0, 0, 701), None),
    "of two dimensions": (struct.pack(">7i", 2, 0, 701, 1, 1, 2, 1) + FLAT[20:], None),
    "before the first position": (array(701, "d", 0, [4.0, 5.0]), None),
    "beyond the last position": (array(701, "d", 32767, [4.0, 5.0]), None),
    "with fewer qualities": (FLAT, array(21, "h", 1, [100])),
    "with more qualities": (FLAT, array(21, "h", 1, [100, 0, 0])),
    "with a quality that is null": (FLAT, array(21, "h", 1, [None, 100])),
    "with no qualities": (FLAT, struct.pack(">3i", 0, 0, 21)),
}


@pytest.mark.parametrize("values", UNUSUAL)
def test_a_minute_with_a_scan_that_no_gateway_sends_is_left_to_the_database(values: str) -> None:
    simple = values_of(SIMPLE)
    scans = [
        (0, SIMPLE, simple, None),
        (1, SIMPLE, simple, None),
        (1, SIMPLE, *UNUSUAL[values]),
        (2, SIMPLE, simple, None),
    ]
    made, odd = rolled(3, sent(scans))
    assert odd == {1}
    assert made == {0: by_definition([SIMPLE]), 2: by_definition([SIMPLE])}


def test_qualities_may_have_another_lower_bound() -> None:
    scan = Scan(1, 2, 3, 5, (4.0, 6.0), (0, 100))
    made, odd = rolled(1, sent([(0, scan, values_of(scan), array(21, "h", 1, (0, 100)))]))
    assert made == {0: by_definition([scan])}
    assert not odd


def test_a_thousand_readings_of_a_tag_are_summed_one_after_the_other() -> None:
    chance = np.random.default_rng(1)
    values = chance.normal(0, 1, 1000) * 10.0 ** chance.integers(-9, 9, 1000)
    for scans in (
        [Scan(1000 - number, 0, 0, 1, (value,)) for number, value in enumerate(values.tolist())],
        [Scan(number, 0, 0, 1, (value, None)) for number, value in enumerate(values.tolist())],
    ):
        assert rolled(1, sent_minutes([scans]))[0] == {0: by_definition(scans)}
