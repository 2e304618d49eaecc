"""A device-minute's digest holds whatever the order and the pieces in which the worker came to it."""

import hashlib
import struct
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import roll
from ingest.roll import Roll
from ingest.writes import MINUTE_US, Stored
from muster import canonical
from muster.events import TextReading
from muster.minutes import RECORD
from muster.scans import NULL_BITS, How, Scans
from tests.scan_builder import ScanBuilder

AT = 1_780_000_020_000_000
"""A multiple of a minute."""

Scan = tuple[int, int, int, int, list[int], list[int]]
BITS = st.one_of(
    st.sampled_from(
        [NULL_BITS, 0x7FF8000000000000, 0xFFF8000000000007, 0x8000000000000000, 0x7FF0000000000000]
    ),
    st.integers(0, 2**64 - 1),
)
VALUES = st.lists(st.tuples(BITS, st.sampled_from([0, 0, 1, 2])), max_size=4)
SCANS = st.builds(
    lambda device, time, received, first, values: (
        device,
        AT + time,
        AT + received,
        first,
        [bits for bits, _ in values],
        [quality for _, quality in values],
    ),
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(0, 1),
    st.sampled_from([1, 2, 65_000]),
    VALUES,
)
TEXTS = st.builds(
    TextReading,
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(AT, AT + 2),
    st.integers(AT, AT + 1),
    st.sampled_from(["", "运行", "9007199254740993"]),
    st.sampled_from([0, 1]),
)
BATCHES = st.lists(
    st.tuples(st.integers(1, 2**40), st.lists(SCANS, max_size=5), st.lists(TEXTS, max_size=3)), max_size=6
)


def scans_of(given: list[Scan]) -> Scans:
    builder = ScanBuilder()
    for device, time, received, first, bits, quality in given:
        value = np.array(bits, np.uint64).view(np.float64)
        builder.add(device, time, received, first, value, np.array(quality, np.int16), How.SOLICITED)
    return builder.build() if given else Scans.empty()


def stored(number: int, sequence: int, scans: list[Scan], texts: list[TextReading]) -> Stored:
    header = SimpleNamespace(sequence=sequence, texts=texts)
    batch = SimpleNamespace(header=header, scans=scans_of(scans))
    accepted = SimpleNamespace(batch=batch, message=SimpleNamespace(stream_sequence=number))
    return Stored(number, cast(Any, accepted))


def bytes_of_scan(sequence: int, scan: Scan) -> bytes:
    """Slowly, straight from the definition."""
    _, time, received, first, bits, quality = scan
    out = struct.pack(">qqIHH", time, received, sequence % 2**32, first if bits else 0, len(bits))
    for one in bits:
        is_nan = one & 0x7FF0000000000000 == 0x7FF0000000000000 and one & 0xFFFFFFFFFFFFF
        out += struct.pack(">Q", 0x7FF8000000000000 if is_nan and one != NULL_BITS else one)
    if any(quality):
        return out + b"\x01" + b"".join(struct.pack(">H", one) for one in quality)
    return out + b"\x00"


def bytes_of_text(sequence: int, text: TextReading) -> bytes:
    value = text.value.encode()
    head = (text.time, text.received, sequence % 2**32, text.position, text.quality, len(value))
    return struct.pack(">qqIHHI", *head) + value


def expected(batches: list[tuple[int, list[Scan], list[TextReading]]]) -> dict[int, tuple[int, ...]]:
    """By device: scans, texts, readings, Good ones, and the digest as an integer."""
    found: dict[int, tuple[int, ...]] = {}
    for device in {
        d for _, scans, texts in batches for d in [s[0] for s in scans] + [t.device for t in texts]
    }:
        whole, counts = b"", [0, 0, 0, 0]
        for sequence, scans, _ in batches:
            mine = [(s[1], s[3], s[2], bytes_of_scan(sequence, s), s) for s in scans if s[0] == device]
            for *_, body, scan in sorted(mine, key=lambda item: item[:4]):
                whole += body
                values = list(zip(scan[4], scan[5], strict=True))
                counts[0] += 1
                counts[2] += sum(bits != NULL_BITS or quality != 0 for bits, quality in values)
                counts[3] += sum(bits != NULL_BITS and quality == 0 for bits, quality in values)
        for sequence, _, texts in batches:
            said = [
                (t.time, t.position, t.received, bytes_of_text(sequence, t), t)
                for t in texts
                if t.device == device
            ]
            for *_, body, text in sorted(said, key=lambda item: item[:4]):
                whole += body
                counts[1] += 1
                counts[2] += 1
                counts[3] += text.quality == 0
        digest = hashlib.sha256(whole + struct.pack(">II", counts[0], counts[1])).digest()
        found[device] = (*counts, int.from_bytes(digest))
    return found


@given(batches=BATCHES, pieces=st.integers(1, 12), together=st.integers(1, 3))
def test_digests_are_those_of_the_definition_whatever_waits_together(
    batches: list[tuple[int, list[Scan], list[TextReading]]], pieces: int, together: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roll, "FEWEST", pieces)
        patch.setattr(roll, "EACH", 0)
        made = Roll()
        items = [stored(number, *batch) for number, batch in enumerate(batches, 1)]
        for first in range(0, len(items), together):
            group = items[first : first + together]
            scans = Scans.concatenate([item.accepted.batch.scans for item in group])
            made.take(AT + first, group, scans if together > 1 else None)
            assert made.close(AT + first) == []
        closed = made.close(AT + MINUTE_US)
    if not batches:
        assert closed == []
        return
    (minutes,) = closed
    assert (minutes.minute_us, minutes.batches) == (AT, list(range(1, len(batches) + 1)))
    found = {
        int(r["device"]): (
            *(int(r[name]) for name in ("scans", "texts", "readings", "good")),
            int.from_bytes(r["digest"].tobytes()),
        )
        for r in minutes.records
    }
    assert found == expected(batches)
    assert made.close(AT + MINUTE_US)[0].records.tobytes() == minutes.records.tobytes()


def test_another_minute_begins_anew_and_names_its_first_message() -> None:
    made = Roll()
    made.take(AT, [stored(7, 1, [(1, AT, AT, 1, [0], [0])], [])])
    assert (made.first_sequence, made.ends_us) == (7, AT + MINUTE_US)
    made.take(AT + MINUTE_US, [stored(9, 2, [(2, AT, AT, 1, [0], [0])], [])])
    (minutes,) = made.close()
    assert (made.first_sequence, minutes.batches) == (9, [9])
    assert minutes.records["device"].tolist() == [2]
    made.take(AT + 2 * MINUTE_US, [])
    assert (made.first_sequence, made.ends_us, made.close()) == (0, None, [])


def test_times_and_receive_times_span_what_came() -> None:
    made = Roll()
    first = [(1, AT - 5, AT + 9, 1, [0], [0]), (1, AT + 3, AT + 4, 1, [0], [0])]
    made.take(AT, [stored(1, 1, first, [TextReading(1, 2, AT + 8, AT + 11, "a")])])
    (minutes,) = made.close()
    (record,) = minutes.records
    assert np.frombuffer(minutes.records.tobytes(), RECORD)[0] == record
    names = ("first_time", "last_time", "first_received", "last_received")
    assert [int(record[name]) - AT for name in names] == [-5, 8, 4, 11]


def test_texts_cannot_pass_for_scans() -> None:
    """The counts at the end tell apart what would read the same."""
    assert canonical.end(1, 0) != canonical.end(0, 1)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=20))
def test_many_ends_made_together_are_the_ends_made_one_by_one(counts: list[tuple[int, int]]) -> None:
    scans, texts = np.array(counts, np.uint32).reshape(-1, 2).T
    assert canonical.ends(scans, texts) == [canonical.end(*each) for each in counts]
