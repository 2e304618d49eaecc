"""Receipts: what counts after a kill, and which redelivery is which."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.mqtt.receipts import Receipts, digest_of
from muster.errors import Unavailable

A = digest_of(1, "a", b"1")


def test_a_receipt_counts_after_a_kill_only_when_its_slot_is_durable(tmp_path: Path) -> None:
    kept = Receipts(tmp_path / "r", 0)
    kept.put([A], 7)
    kept.put([digest_of(2, "a", b"1")], 8)
    kept.flush()
    after = Receipts(tmp_path / "r", 7)
    assert after.known(A) == 7
    assert after.known(digest_of(2, "a", b"1")) is None


def test_a_record_that_broke_off_is_passed_over(tmp_path: Path) -> None:
    kept = Receipts(tmp_path / "r", 0)
    kept.put([A], 1)
    kept.flush()
    with (tmp_path / "r").open("ab") as file:
        file.write(b"broken")
    assert Receipts(tmp_path / "r", 1).known(A) == 1


def test_what_a_full_disk_took_in_part_goes_on_where_it_broke_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Receipts(tmp_path / "r", 0)
    kept.put([A], 1)
    kept.put([digest_of(2, "a", b"1")], 1)
    with monkeypatch.context() as full:
        write = os.write
        full.setattr(os, "write", lambda file, data: write(file, bytes(data[:30])))
        with pytest.raises(Unavailable, match="full"):
            kept.flush()
    kept.flush()
    after = Receipts(tmp_path / "r", 1)
    assert (after.known(A), after.known(digest_of(2, "a", b"1")), len(after)) == (1, 1, 2)


def test_the_newest_receipt_of_a_digest_decides(tmp_path: Path) -> None:
    kept = Receipts(tmp_path / "r", 0)
    kept.put([A], 1)
    kept.put([A], 9)
    kept.flush()
    assert Receipts(tmp_path / "r", 5).known(A) is None


def test_a_confirmed_message_is_forgotten_but_not_one_put_after_it(tmp_path: Path) -> None:
    kept = Receipts(tmp_path / "r", 0)
    kept.put([A], 1)
    kept.confirm([(1, [A])])
    assert kept.known(A) == 0  # a redelivery that was on its way
    kept.put([A], 2)
    kept.confirm([(1, [A])])
    kept.flush()
    assert Receipts(tmp_path / "r", 2).known(A) == 2


def test_an_unacknowledged_message_under_a_new_identifier_is_recognised_as_often_as_it_is_owed(
    tmp_path: Path,
) -> None:
    kept = Receipts(tmp_path / "r", 0)
    for packet in (1, 2, 3):
        kept.put([digest_of(packet, "a", b"1")], 1)
    kept.interrupt([digest_of(2, "a", b"1"), digest_of(3, "a", b"1")])
    found = [kept.known(digest_of(packet, "a", b"1")) for packet in (11, 12, 13)]
    assert found == [1, 1, None]
    assert kept.known(digest_of(11, "a", b"1")) == 1


def test_a_forgotten_session_leaves_no_receipt(tmp_path: Path) -> None:
    kept = Receipts(tmp_path / "r", 0)
    kept.put([A], 1)
    kept.interrupt([A])
    kept.clear()
    assert kept.known(A) is None
    assert Receipts(tmp_path / "r", 1).known(A) is None


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable):
        Receipts(tmp_path / "file" / "r", 0)


@given(
    st.booleans(),
    st.lists(st.sampled_from(["send", "lose", "ack", "confirm", "break"]), max_size=40),
)
def test_equal_messages_are_put_as_often_as_they_were_sent_wherever_connections_break(
    renumbers: bool, steps: list[str]
) -> None:
    """A broker gives out equal messages; `lose`: it sent one that never came; `confirm`: it read our words."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Receipts(Path(folder) / "r", 0)
        owed: list[int] = []  # identifiers that the broker has not read an acknowledgement of
        waiting: list[int] = []  # what we hold unacknowledged on this connection
        told: list[int] = []  # acknowledged, not shown to be read
        packet = sent = put = 0
        for step in [*steps, "break"]:
            if step in ("send", "lose"):
                packet, sent = packet + 1, sent + 1
                owed.append(packet)
                if step == "send":
                    put += 1
                    kept.put([digest_of(packet, "t", b"1")], 1)
                    waiting.append(packet)
            elif step == "ack" and waiting:
                told.append(waiting.pop(0))
                owed.remove(told[-1])
            elif step == "confirm":
                kept.confirm([(1, [digest_of(one, "t", b"1") for one in told])])
                told.clear()
            elif step == "break":
                kept.interrupt([digest_of(one, "t", b"1") for one in waiting])
                told.clear()
                if renumbers:
                    owed = list(range(packet + 1, packet + 1 + len(owed)))
                    packet += len(owed)
                waiting = list(owed)
                for one in owed:
                    if kept.known(digest_of(one, "t", b"1")) is None:
                        put += 1
                        kept.put([digest_of(one, "t", b"1")], 1)
        kept.close()
    assert put == sent
