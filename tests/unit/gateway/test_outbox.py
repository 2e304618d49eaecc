"""The outbox gives back what was sealed, in order and once, whatever was cut off or flipped."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.subjects import PARTITIONS
from gateway.outbox.folder import Folder
from gateway.outbox.records import Sealed
from gateway.outbox.store import Outbox
from muster.errors import Backpressure, ConfigError
from tests.unit.gateway.outbox_samples import batch, drain, fill, of

LIMIT = 1 << 20


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Sealed]]:
    """An outbox of two epochs over several segments, as a killed process left it."""
    folder = tmp_path_factory.mktemp("written")
    outbox = Outbox(folder, 1 << 16)
    batches = fill(outbox, 1, 12, size=300) + fill(outbox, 2, 8, size=300)
    outbox.close()
    assert len(list(folder.glob("segment-*"))) > 2
    return folder, batches


def copied(folder: Path, tmp_path: Path) -> Path:
    target = tmp_path / os.urandom(6).hex()
    shutil.copytree(folder, target)
    return target


def test_what_is_appended_is_read_back_in_order_and_only_acknowledging_moves_on(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, LIMIT)
    batches = fill(outbox, 7, 3)
    first = outbox.read(0)
    assert first == outbox.read(0) == batches[0]
    for partition in range(PARTITIONS):
        assert drain(outbox, partition) == of(partition, batches)
        assert outbox.read(partition) is None
    assert outbox.drained
    assert all(outbox.sent(partition) for partition in range(PARTITIONS))
    more = fill(outbox, 7, 1, first=4)
    assert not outbox.drained
    assert not outbox.sent(2)
    assert outbox.read(2) == of(2, more)[0]
    assert outbox.unsent_us == 1_000_000
    outbox.close()


def test_after_a_restart_only_what_was_not_acknowledged_is_given_again(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, LIMIT)
    batches = fill(outbox, 1, 5)
    drain(outbox, 1, most=3)
    outbox.close()
    again = Outbox(tmp_path, LIMIT)
    assert drain(again, 1) == of(1, batches)[3:]
    assert drain(again, 0) == of(0, batches)
    assert again.damage.losses == []
    again.close()


def test_a_lost_cursor_gives_everything_again_and_loses_nothing(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, LIMIT)
    batches = fill(outbox, 1, 5)
    drain(outbox, 1)
    outbox.close()
    (tmp_path / "taken").write_bytes(b"\x00" * 20)
    again = Outbox(tmp_path, LIMIT)
    assert drain(again, 1) == of(1, batches)
    again.close()


def test_segments_are_deleted_once_every_partition_has_passed_them(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, 1 << 16)
    fill(outbox, 1, 60, size=200)
    size = outbox.size
    assert size == sum(path.stat().st_size for path in tmp_path.glob("segment-*"))
    for partition in range(PARTITIONS - 1):
        drain(outbox, partition)
    assert outbox.size == size
    drain(outbox, PARTITIONS - 1)
    assert len(list(tmp_path.glob("segment-*"))) == 1
    assert outbox.size == sum(path.stat().st_size for path in tmp_path.glob("segment-*"))
    outbox.close()


def test_how_far_sealing_came_is_known_even_when_every_old_segment_is_gone(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, 1 << 16)
    fill(outbox, 3, 60, size=200)
    for partition in range(PARTITIONS):
        drain(outbox, partition)
    marks = outbox.marks
    outbox.close()
    again = Outbox(tmp_path, 1 << 16)
    assert again.marks == marks
    assert again.marks.through == 600
    again.close()


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 100_000), which=st.integers(0, 100))
def test_cutting_the_newest_files_anywhere_leaves_a_prefix_of_what_was_sealed(
    written: tuple[Path, list[Sealed]], tmp_path: Path, cut: int, which: int
) -> None:
    """A disk that lost its end: the files behind some file are gone, and that one is cut."""
    folder, batches = written
    copy = copied(folder, tmp_path)
    paths = sorted(copy.glob("segment-*"))
    kept = which % len(paths)
    for path in paths[kept + 1 :]:
        path.unlink()
    os.truncate(paths[kept], cut % (paths[kept].stat().st_size + 1))
    outbox = Outbox(copy, LIMIT)
    counts = set()
    for partition in range(PARTITIONS):
        read = drain(outbox, partition)
        counts.add(len(read))
        assert read == of(partition, batches)[: len(read)]
    assert len(counts) == 1, "a seal is kept whole or not at all"
    assert outbox.damage.losses == []
    assert outbox.marks.through == 10 * counts.pop()
    more = fill(outbox, 9, 2)
    assert drain(outbox, 3) == of(3, more)
    outbox.close()
    shutil.rmtree(copy)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100_000), st.integers(0, 7)), max_size=4))
def test_flipped_bits_lose_batches_but_never_double_reorder_or_alter_one(
    written: tuple[Path, list[Sealed]], tmp_path: Path, flips: list[tuple[int, int, int]]
) -> None:
    folder, batches = written
    copy = copied(folder, tmp_path)
    paths = sorted(copy.glob("segment-*"))
    for which, where, bit in flips:
        path = paths[which % len(paths)]
        content = bytearray(path.read_bytes())
        content[where % len(content)] ^= 1 << bit
        path.write_bytes(content)
    outbox = Outbox(copy, LIMIT)
    more = fill(outbox, 9, 2)
    for partition in range(PARTITIONS):
        read = drain(outbox, partition)
        remaining = iter(of(partition, batches + more))
        assert all(found in remaining for found in read), "a subsequence, in order, each once"
        assert read[-2:] == of(partition, more)
    outbox.close()
    shutil.rmtree(copy)


def flip(path: Path, found: bytes, offset: int = 0) -> None:
    """Flip a bit where `found` lies in a file."""
    content = bytearray(path.read_bytes())
    content[content.index(found) + offset] ^= 1
    path.write_bytes(content)


def test_a_flipped_body_loses_one_batch_and_says_which_span(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, LIMIT)
    batches = fill(outbox, 1, 5)
    outbox.close()
    lost = of(2, batches)[2]
    (path,) = tmp_path.glob("segment-*")
    flip(path, lost.body)
    again = Outbox(tmp_path, LIMIT)
    assert drain(again, 2) == [each for each in of(2, batches) if each != lost]
    assert drain(again, 1) == of(1, batches)
    (loss,) = again.damage.losses
    assert (loss.partition, loss.at, loss.until) == (2, lost.watched_from, lost.watched_until)
    again.close()


def test_a_flipped_directory_loses_one_seal_and_every_partition_says_so(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, LIMIT)
    batches = fill(outbox, 1, 5)
    outbox.close()
    (path,) = tmp_path.glob("segment-*")
    flip(path, batches[4].signature.encode())
    again = Outbox(tmp_path, LIMIT)
    for partition in range(PARTITIONS):
        assert [each.sequence for each in drain(again, partition)] == [1, 3, 4, 5]
    assert sorted(loss.partition for loss in again.damage.losses) == list(range(PARTITIONS))
    again.close()


def test_a_lost_segment_is_a_loss_that_is_said(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, 1 << 16)
    fill(outbox, 1, 60, size=300)
    outbox.close()
    second = sorted(tmp_path.glob("segment-*"))[1]
    second.unlink()
    again = Outbox(tmp_path, 1 << 16)
    names = [each.sequence for each in drain(again, 0)]
    assert names == sorted(set(names))
    assert len(names) < 60
    assert len(again.damage.losses) == 1
    again.close()


def test_a_damaged_last_seal_that_the_bus_took_in_part_keeps_its_other_batches(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, LIMIT)
    batches = fill(outbox, 1, 3)
    drain(outbox, 0)
    outbox.close()
    (path,) = tmp_path.glob("segment-*")
    flip(path, of(1, batches)[2].body)
    again = Outbox(tmp_path, LIMIT)
    assert again.marks.through == 30, "the journal must not seal again what the bus has"
    more = fill(again, 2, 1)
    assert drain(again, 3) == of(3, batches) + of(3, more)
    assert drain(again, 1) == of(1, batches)[:2] + of(1, more)
    again.close()


def test_a_disk_that_refuses_keeps_nothing_of_the_seal_and_takes_it_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(tmp_path, LIMIT)
    batches = fill(outbox, 1, 2)
    third = [batch(partition, 1, 3, 5000) for partition in range(PARTITIONS)]
    real = os.pwrite

    def short(handle: int, data: memoryview, offset: int) -> int:
        if len(data) <= 600:
            raise OSError(28, "No space left on device")
        return real(handle, data[:600], offset)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", short)
        with pytest.raises(Backpressure, match="No space left"):
            outbox.append(30, third)
    assert outbox.marks.through == 20
    assert outbox.size == sum(path.stat().st_size for path in tmp_path.glob("segment-*"))
    outbox.append(30, third)
    for partition in range(PARTITIONS):
        assert drain(outbox, partition) == of(partition, batches + third)
    outbox.close()


def test_after_a_failed_sync_the_same_batches_are_written_elsewhere_and_given_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(tmp_path, LIMIT)
    batches = fill(outbox, 1, 2)
    third = [batch(partition, 1, 3) for partition in range(PARTITIONS)]

    def refuse(handle: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("gateway.outbox.segments.sync_data", refuse)
        with pytest.raises(Backpressure, match="Input/output"):
            outbox.append(30, third)
    assert drain(outbox, 0) == of(0, batches), "what is not durable is not given out"
    outbox.append(30, third)
    assert len(list(tmp_path.glob("segment-*"))) == 2, "a file whose sync failed is not trusted again"
    assert drain(outbox, 0) == of(0, third)
    outbox.close()
    again = Outbox(tmp_path, LIMIT)
    assert drain(again, 1) == of(1, batches + third)
    assert again.damage.losses == []
    again.close()


def test_two_processes_cannot_work_in_one_folder(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with pytest.raises(ConfigError, match="another gateway process"):
        Folder(tmp_path)
    folder.close()
    Folder(tmp_path).close()


def test_an_epoch_rises_with_every_start_even_when_its_file_or_its_disk_was_lost(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "outbox")
    now = 1_800_000_000_000_000
    first = folder.next_epoch(0, now)
    second = folder.next_epoch(first, now)
    assert (first, second) == (1_800_000_000, 1_800_000_001)
    (tmp_path / "outbox" / "epoch").write_bytes(b"\xff\x00")
    assert folder.next_epoch(second, now) == second + 1
    folder.close()
    fresh = Folder(tmp_path / "another disk")
    assert fresh.next_epoch(0, now + 60_000_000) > second + 1
    fresh.close()


def test_the_very_first_batch_is_missed_too_when_it_is_lost(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, LIMIT)
    batches = fill(outbox, 1, 3)
    outbox.close()
    (path,) = tmp_path.glob("segment-*")
    flip(path, of(2, batches)[0].body)
    again = Outbox(tmp_path, LIMIT)
    assert drain(again, 2) == of(2, batches)[1:]
    (loss,) = again.damage.losses
    assert loss.until == of(2, batches)[1].watched_from
    again.close()


def test_what_was_just_sealed_is_given_out_of_memory_and_the_disk_goes_on_behind_it(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, 1 << 16)
    batches = fill(outbox, 7, 1)
    assert outbox.fresh(1) is None, "the first of an epoch is read, for older ones may lie before it"
    for partition in range(PARTITIONS):
        assert drain(outbox, partition) == of(partition, batches)
    for sequence in range(2, 90):  # over several segments
        batches = fill(outbox, 7, 1, first=sequence, size=200)
        for partition in range(PARTITIONS):
            assert outbox.fresh(partition) == of(partition, batches)[0]
            outbox.acknowledge(partition)
            assert outbox.fresh(partition) is None
        outbox.settle()
    assert len(list(tmp_path.glob("segment-*"))) == 1
    batches = fill(outbox, 7, 12, first=90, size=200)  # more than are kept in memory
    assert outbox.fresh(2) is None
    assert drain(outbox, 2) == of(2, batches)
    outbox.close()
    again = Outbox(tmp_path, 1 << 16)
    assert again.sent(2)
    assert drain(again, 3) == of(3, batches)
    again.close()


@given(st.lists(st.sampled_from(("seal", "fresh", "read", "settle", "again")), max_size=40))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_memory_and_disk_give_the_same_batches_in_the_same_order(tmp_path: Path, steps: list[str]) -> None:
    folder = tmp_path / os.urandom(6).hex()
    folder.mkdir()
    outbox = Outbox(folder, 1 << 16)
    sealed: list[Sealed] = []
    given_out: list[Sealed] = []
    for step in [*steps, "read", *["again"] * 2]:
        if step == "seal":
            sealed += fill(outbox, 7, 1, first=len(sealed) // PARTITIONS + 1, size=1500)
        elif step == "settle":
            outbox.settle()
        elif step == "again":
            outbox.close()
            outbox = Outbox(folder, 1 << 16)
        else:
            found = outbox.fresh(2) if step == "fresh" else outbox.read(2)
            if found is not None:
                given_out.append(found)
                outbox.acknowledge(2)
    given_out += drain(outbox, 2)
    assert given_out == of(2, sealed)
    assert outbox.damage.places == 0
    assert not outbox.damage.losses
    outbox.close()


def test_what_the_bus_took_since_the_last_write_is_sent_again_after_a_kill(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, LIMIT)
    batches = fill(outbox, 7, 3)
    outbox.read(0)
    outbox.acknowledge(0)
    outbox.settle()
    assert not outbox.unsettled
    outbox.read(0)
    outbox.acknowledge(0)
    assert outbox.unsettled
    killed = copied(tmp_path, tmp_path.parent)
    outbox.close()
    again, closed = Outbox(killed, LIMIT), Outbox(tmp_path, LIMIT)
    assert drain(again, 0) == of(0, batches)[1:]
    assert drain(closed, 0) == of(0, batches)[2:]
    again.close()
    closed.close()
