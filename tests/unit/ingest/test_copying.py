"""Every row's bytes are those of the binary COPY format, read back here by a plain reader."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ingest.copying import scan_rows, text_rows
from muster.events import TextReading
from muster.scans import NULL_BITS, How, Scans
from store.binary import EPOCH_US
from tests.copy_reader import Array, Reader
from tests.scan_builder import ScanBuilder

BITS = st.one_of(
    st.just(NULL_BITS),
    st.sampled_from([0, 1 << 63, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000]),
    st.integers(0, 2**64 - 1),
)
SCANS = st.lists(
    st.tuples(
        st.integers(1, 2**31 - 1),
        st.integers(-(2**53), 2**53),
        st.integers(-(2**53), 2**53),
        st.integers(1, 30_000),
        st.lists(st.tuples(BITS, st.sampled_from([0, 0, 0, 100, 201])), min_size=1, max_size=6),
        st.booleans(),
    ),
    max_size=12,
)


Row = tuple[int, int, int, Array | None, Array | None, int]


def rows_of(body: bytes) -> list[Row]:
    reader, rows = Reader(body), []
    while reader.at < len(body):
        assert reader.take("h") == 6
        rows.append(
            (
                reader.field("i"),
                reader.field("q") + EPOCH_US,
                reader.field("q") + EPOCH_US,
                reader.array("Q", 701),
                reader.array("h", 21),
                reader.field("q"),
            )
        )
    return rows


def bits(values: list[int]) -> NDArray[np.float64]:
    return np.array(values, np.uint64).view(np.float64)


@given(SCANS)
def test_every_scan_becomes_one_row_bit_for_bit(
    given_scans: list[tuple[int, int, int, int, list[tuple[int, int]], bool]],
) -> None:
    builder, due = ScanBuilder(), []
    for number, (device, time, received, first, items, good) in enumerate(given_scans):
        values = [value for value, _ in items]
        quality = None if good else np.array([q for _, q in items], np.int16)
        builder.add(device, time, received, first, bits(values), quality, How.SOLICITED)
        whole: Array = (first, [None if value == NULL_BITS else value for value in values])
        judged: Array | None = None
        if not good and any(q for _, q in items):
            judged = (first, [q for _, q in items])
        due.append((device, time, received, whole, judged, 1000 + number))
    body = b"".join(scan_rows(builder.build(), np.arange(1000, 1000 + len(given_scans))))
    assert sorted(rows_of(body), key=lambda row: row[5]) == due


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), max_size=40))
def test_rows_alike_come_by_device_and_keep_their_order_within_one(described: list[tuple[int, int]]) -> None:
    builder = ScanBuilder()
    for number, (device, size) in enumerate(described):
        builder.add(device, number, 0, 1, np.arange(float(size)), None, How.SOLICITED)
    rows = rows_of(b"".join(scan_rows(builder.build(), np.arange(len(described)))))
    came = [(len(row[3][1]), row[0], row[5]) for row in rows if row[3] is not None]
    assert came == sorted((size, device, number) for number, (device, size) in enumerate(described))


def test_no_scans_give_no_rows() -> None:
    assert list(scan_rows(Scans.empty(), np.empty(0, np.int64))) == []


def test_a_scan_of_five_thousand_values_is_one_row() -> None:
    builder = ScanBuilder()
    builder.add(1, 0, 0, 1, np.arange(5000.0), None, How.SOLICITED)
    ((_, _, _, value, quality, _),) = rows_of(b"".join(scan_rows(builder.build(), np.array([5]))))
    assert value is not None
    assert len(value[1]) == 5000
    assert quality is None


def test_texts_become_rows_with_their_utf8_bytes() -> None:
    body = text_rows([TextReading(3, 2, 10, 11, "点名", 100), TextReading(4, 1, 12, 13, "", 0)], [7, 8])
    reader = Reader(body)
    assert reader.take("h") == 7
    assert [reader.field("i"), reader.field("i")] == [3, 2]
    assert [reader.field("q") + EPOCH_US, reader.field("q") + EPOCH_US] == [10, 11]
    length = reader.take("i")
    assert reader.body[reader.at : reader.at + length].decode() == "点名"
    reader.at += length
    assert [reader.field("h"), reader.field("q")] == [100, 7]
    assert reader.take("h") == 7
