"""The journal gives back what was written and not sealed: in order, each slot once, whole or not at all."""

import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.outbox.journal import Journal, recover
from gateway.slots import Notice, Slot, decode_slots, encode_slot, put_scans, scans_of
from muster.events import Event, TextReading
from muster.scans import How, Scans
from tests.scan_builder import ScanBuilder


def slot(number: int, scans: int = 3, qualified: bool = False) -> Slot:
    chance = random.Random(number)
    builder = ScanBuilder()
    for device in range(scans):
        count = chance.randint(1, 6)
        quality = np.array([chance.choice([0, 200]) for _ in range(count)], np.int16) if qualified else None
        values = np.array([chance.random() for _ in range(count)])
        builder.add(device, number * 50, number * 50 + 1, 1 + device, values, quality, How.SOLICITED)
    made = Slot(number, number * 50, (number + 1) * 50)
    put_scans(made, builder.build())
    if number % 3 == 0:
        made.events.append(Event("error", 4, number, reason="timeout", detail={"s": 1.5}))
        made.texts.append(TextReading(5, 2, number, number, "批次 A-7"))
        made.notices.append(Notice(2, Event("gap", 0, 1, 2, "gateway-down")))
    return made


def written(folder: Path, slots: list[Slot], sealed_after: dict[int, int], generation: int = 0) -> None:
    """Journal `slots`; after slot k, everything up to `sealed_after[k]` counts as sealed."""
    journal = Journal(folder, generation)
    for each in slots:
        journal.put(each)
        while journal.waiting:
            os.sched_yield()
        if each.number in sealed_after:
            journal.sealed(sealed_after[each.number])
    journal.close()


def same(left: Scans, right: Scans) -> bool:
    return all(
        np.array_equal(a, b) if a is not None and b is not None else a is b
        for a, b in (
            (getattr(left, name), getattr(right, name))
            for name in ("device", "time", "received", "first", "how", "offsets", "value", "quality")
        )
    )


@given(numbers=st.lists(st.integers(1, 1000), min_size=1, max_size=8, unique=True), qualified=st.booleans())
def test_slots_come_back_from_their_bytes_as_they_were(numbers: list[int], qualified: bool) -> None:
    slots = [slot(number, number % 5, qualified) for number in sorted(numbers)]
    generation, decoded = decode_slots(b"".join(encode_slot(each, 9) for each in slots))
    assert generation == 9
    assert decoded == slots
    assert same(scans_of(decoded), scans_of(slots))


@given(cut=st.integers(0, 5000), flip=st.none() | st.integers(0, 5000))
def test_a_cut_or_flipped_journal_file_gives_a_prefix(cut: int, flip: int | None) -> None:
    slots = [slot(number) for number in range(1, 12)]
    data = bytearray(b"".join(encode_slot(each, 3) for each in slots))
    if flip is not None:
        data[flip % len(data)] ^= 4
    _, decoded = decode_slots(bytes(data[: cut % (len(data) + 1)]))
    assert decoded == slots[: len(decoded)]


def test_what_remains_of_an_older_turn_behind_the_newest_one_is_not_read() -> None:
    older = b"".join(encode_slot(slot(number), 2) for number in range(1, 20))
    newer = b"".join(encode_slot(slot(number), 4) for number in range(30, 33))
    generation, decoded = decode_slots(newer + older[len(newer) :])
    assert generation == 4
    assert [each.number for each in decoded] == [30, 31, 32]
    exact = encode_slot(slot(1), 2)
    longer = encode_slot(slot(30), 4) + exact
    assert [each.number for each in decode_slots(longer)[1]] == [30]


def test_slots_behind_the_sealed_ones_are_recovered_over_both_files(tmp_path: Path) -> None:
    slots = [slot(number) for number in range(1, 31)]
    written(tmp_path, slots, {10: 8, 20: 18})
    recovered, _ = recover(tmp_path, 18)
    assert recovered == slots[18:]
    assert recover(tmp_path, 30)[0] == []


def test_a_file_is_never_overwritten_while_a_slot_in_it_is_not_sealed(tmp_path: Path) -> None:
    slots = [slot(number) for number in range(1, 60)]
    written(tmp_path, slots, {})
    assert recover(tmp_path, 0)[0] == slots


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(seals=[(10, 5), (2, 4), (1, 6)])  # the file that is not written still holds slots to be sealed
@given(seals=st.lists(st.tuples(st.integers(1, 12), st.integers(0, 6)), min_size=1, max_size=6))
def test_at_any_moment_every_unsealed_slot_can_be_recovered(
    tmp_path: Path, seals: list[tuple[int, int]]
) -> None:
    """Each pair: so many slots, then a seal that lags so many slots behind."""
    folder = tmp_path / os.urandom(4).hex()
    folder.mkdir()
    number, sealed = 0, 0
    slots: list[Slot] = []
    marks: dict[int, int] = {}
    for count, lag in seals:
        slots += [slot(number + index) for index in range(1, count + 1)]
        number += count
        sealed = max(sealed, number - lag)
        marks[number] = sealed
    written(folder, slots, marks)
    assert recover(folder, sealed)[0] == slots[sealed:]
    shutil.rmtree(folder)


def test_a_new_process_writes_on_where_everything_was_sealed(tmp_path: Path) -> None:
    first = [slot(number) for number in range(1, 9)]
    written(tmp_path, first, {6: 4})
    _, generation = recover(tmp_path, 4)
    second = [slot(number) for number in range(9, 15)]
    written(tmp_path, second, {}, generation)
    assert recover(tmp_path, 8)[0] == second


def test_a_refusing_disk_shows_and_the_journal_goes_on_when_it_takes_slots_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    slots = [slot(number) for number in range(1, 7)]
    journal = Journal(tmp_path, 0)
    for each in slots:
        with monkeypatch.context() as patched:
            if each.number in (3, 4):
                patched.setattr(os, "pwrite", refuse)
            journal.put(each)
            while journal.waiting:
                os.sched_yield()
        assert (journal.failed is not None) == (each.number in (3, 4))
    journal.close()
    assert [each.number for each in recover(tmp_path, 0)[0]] == [1, 2, 5, 6]
