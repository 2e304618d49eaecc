"""Scans are written as Arrow itself would write them, to the byte."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from bus.columns import SCHEMA, write_record
from muster.scans import Scans

SIZES = st.lists(st.integers(1, 70), min_size=1, max_size=70)


def through_arrow(scans: Scans) -> bytes:
    """Return the record that pyarrow builds and writes."""
    offsets = pa.array(scans.offsets)
    quality = pa.nulls(len(scans), SCHEMA.field("quality").type)
    if scans.quality is not None:
        quality = pa.ListArray.from_arrays(offsets, pa.array(scans.quality))
    columns = [pa.array(each) for each in (scans.device, scans.time, scans.received, scans.first, scans.how)]
    values = pa.ListArray.from_arrays(offsets, pa.array(scans.value))
    record = pa.RecordBatch.from_arrays([*columns, values, quality], schema=SCHEMA)
    written: bytes = record.serialize().to_pybytes()
    return written


@given(SIZES, st.booleans(), st.integers(0, 2**32 - 1))
def test_a_record_is_what_arrow_writes_to_the_byte(sizes: list[int], qualified: bool, seed: int) -> None:
    dice = np.random.default_rng(seed)
    count = len(sizes)
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    readings = int(offsets[-1])
    scans = Scans(
        dice.integers(1, 2**31, count).astype(np.int32),
        dice.integers(-(2**62), 2**62, count),
        dice.integers(0, 2**62, count),
        dice.integers(1, 32_000, count).astype(np.int32),
        dice.integers(0, 3, count).astype(np.uint8),
        offsets,
        dice.integers(0, 2**63, readings).view(np.float64),
        dice.integers(0, 256, readings).astype(np.int16) if qualified else None,
    )
    assert write_record(scans) == through_arrow(scans)


def test_columns_that_do_not_lie_together_are_written_all_the_same() -> None:
    every = np.arange(1, 9, dtype=np.int32)
    scans = Scans(
        every[::2],
        np.arange(8)[::2],
        np.arange(8)[::2],
        every[1::2],
        np.zeros(8, np.uint8)[::2],
        np.arange(5, dtype=np.int32),
        np.arange(8.0)[::2],
        None,
    )
    assert write_record(scans) == through_arrow(scans)
