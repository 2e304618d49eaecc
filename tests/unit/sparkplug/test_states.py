"""What equipment does, and the state that follows, through the host machine and the gateway's own watch."""

from typing import Any

import pytest

from muster.presence import State
from muster.sparkplug import Metric
from tests.unit.sparkplug.line import (
    Line,
    T,
    broker_away,
    device_death,
    node_death,
    slow_clock,
    value,
    wide_gap,
)


def nothing(line: Line) -> None:
    pass


def birth_only(line: Line) -> None:
    line.birth()


def asked_birth_only(line: Line) -> None:
    line.wait(3)
    assert len(line.asked) == 1
    line.birth()


def ping_only(line: Line) -> None:
    line.birth()
    line.wait(20)
    line.hear("DDATA", seq=line.next())


def other_metrics_only(line: Line) -> None:
    line.birth()
    line.wait(20)
    line.hear("DDATA", Metric("", 9, T.DOUBLE, 1.0), seq=line.next())


def node_data_only(line: Line) -> None:
    line.birth()
    line.wait(20)
    line.hear("NDATA", Metric("bdSeq", None, T.INT64, 3), seq=line.next())


def null(line: Line) -> None:
    line.birth()
    line.data(None, is_null=True)


def historical(line: Line) -> None:
    line.birth()
    line.data(is_historical=True)


def old_timestamp(line: Line) -> None:
    line.birth()
    line.data(timestamp_ms=line.device_ms - 60_000)


def repeated_timestamp(line: Line) -> None:
    line.birth()
    said = line.device_ms
    line.data(timestamp_ms=said)
    line.wait(20)
    line.data(timestamp_ms=said)


def unborn_data(line: Line) -> None:
    line.seq = 7
    line.data()


def node_death_long_ago(line: Line) -> None:
    value(line)
    line.wait(12)
    line.death()


def death_of_an_earlier_session(line: Line) -> None:
    value(line)
    line.wait(12)
    line.death(2)


def data_after_death(line: Line) -> None:
    value(line)
    line.wait(12)
    line.death()
    line.data()


def restart(line: Line) -> None:
    value(line)
    line.death()
    line.wait(20)
    line.bd_seq += 1
    line.birth()
    line.data()


def restart_without_its_device(line: Line) -> None:
    value(line)
    line.wait(12)
    line.bd_seq += 1
    line.hear("NBIRTH", Metric("bdSeq", None, T.INT64, line.bd_seq), seq=0)
    line.wait(12)


def gap(line: Line) -> None:
    value(line)
    line.next()
    line.data()


def clock_jumps_back(line: Line) -> None:
    value(line)
    line.ahead_s = -3600
    line.wait(12)
    for _ in range(4):
        line.wait(1)
        line.data()


def clock_jumps_ahead(line: Line) -> None:
    value(line)
    line.ahead_s = 3600
    line.wait(12)
    line.data()


def backlog_at_once(line: Line) -> None:
    line.birth()
    for behind_s in range(3600, 0, -60):
        line.ahead_s = -behind_s
        line.data()


def idle_hour(line: Line) -> None:
    value(line)
    line.wait(3600)


def broker_back_and_nothing_missed(line: Line) -> None:
    broker_away(line)
    line.data()


def broker_back_and_messages_missed(line: Line) -> None:
    broker_away(line)
    line.next()
    line.data()


ROWS = [
    (nothing, State.UNOBSERVED, State.OFFLINE),
    (birth_only, State.RESPONDING, State.LINKED),
    (asked_birth_only, State.RESPONDING, State.LINKED),
    (ping_only, State.RESPONDING, State.LINKED),
    (other_metrics_only, State.RESPONDING, State.LINKED),
    (node_data_only, State.LINKED, State.LINKED),
    (value, State.CONNECTED, State.LINKED),
    (null, State.RESPONDING, State.LINKED),
    (historical, State.RESPONDING, State.LINKED),
    (old_timestamp, State.RESPONDING, State.LINKED),
    (repeated_timestamp, State.RESPONDING, State.LINKED),
    (unborn_data, State.RESPONDING, State.OFFLINE),
    (node_death, State.CONNECTED, State.OFFLINE),
    (node_death_long_ago, State.OFFLINE, State.OFFLINE),
    (death_of_an_earlier_session, State.LINKED, State.LINKED),
    (device_death, State.OFFLINE, State.OFFLINE),
    (data_after_death, State.RESPONDING, State.OFFLINE),
    (restart, State.CONNECTED, State.LINKED),
    (restart_without_its_device, State.OFFLINE, State.OFFLINE),
    (gap, State.CONNECTED, State.LINKED),
    (wide_gap, State.RESPONDING, State.LINKED),
    (slow_clock, State.CONNECTED, State.LINKED),
    (clock_jumps_back, State.CONNECTED, State.LINKED),
    (clock_jumps_ahead, State.CONNECTED, State.LINKED),
    (backlog_at_once, State.RESPONDING, State.LINKED),
    (idle_hour, State.LINKED, State.LINKED),
    (broker_away, State.OFFLINE, State.OFFLINE),
    (broker_back_and_nothing_missed, State.CONNECTED, State.LINKED),
    (broker_back_and_messages_missed, State.RESPONDING, State.OFFLINE),
]


@pytest.mark.parametrize(("does", "now", "silent"), ROWS, ids=[row[0].__name__ for row in ROWS])
def test_the_state_follows_from_what_equipment_does(does: Any, now: State, silent: State) -> None:
    line = Line()
    does(line)
    assert line.state() is now
    assert line.after_silence() is silent
