"""What the host machine makes of births, data, sequence and clocks, and of garbage."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.sparkplug.topics import Kind, parse
from muster.clock import SECOND_US
from muster.device import Tag
from muster.errors import Rejected
from muster.presence import State
from muster.quality import Quality
from muster.scans import How, Scans
from muster.sparkplug import DataSet, Metric, Payload, Property, Template, decode, encode
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
from tests.unit.sparkplug.payloads import PAYLOAD, mutated


def test_a_lasting_message_of_an_edge_node_that_is_the_device_itself() -> None:
    line = Line(Tag(1, "t", "float64", {"metric": "T"}), scope=None)
    line.hear("NBIRTH", Metric("bdSeq", None, T.INT64, 1), Metric("T", 5, T.FLOAT, 1.5), seq=0)
    line.hear("NDATA", Metric("", 5, T.UNKNOWN, None), seq=1)
    line.hear("NDATA", Metric("", 5, T.FLOAT, 2.5), seq=2)
    assert line.values(How.HISTORY) == [1.5]
    assert line.values()[-1] == 2.5


def test_births_are_history_and_data_is_not() -> None:
    line = Line()
    line.birth()
    line.data(21.5)
    assert line.values(How.HISTORY) == [20.0, -1.0]
    assert line.values() == [21.5]


def test_metrics_of_one_time_are_one_scan_and_of_two_times_two() -> None:
    line = Line()
    line.birth()
    ms = line.device_ms
    line.hear("DDATA", Metric("", 1, T.DOUBLE, 1.0), Metric("", 2, T.INT16, 2), seq=line.next())
    line.wait(1)
    line.hear(
        "DDATA",
        Metric("", 1, T.DOUBLE, 3.0, ms + 500),
        Metric("", 2, T.INT16, 4, ms + 600),
        seq=line.next(),
    )
    line.settle()
    whole = Scans.concatenate(line.scans)
    live = whole.take(np.flatnonzero(whole.how == How.UNSOLICITED))
    assert np.diff(live.offsets).tolist() == [2, 1, 1]
    assert live.first.tolist() == [1, 1, 2]
    assert live.time.tolist()[1:] == [(ms + 500) * 1000, (ms + 600) * 1000]


def test_a_null_and_bad_quality_are_bad_and_a_stale_one_is_uncertain() -> None:
    line = Line()
    line.birth()
    line.data(None, is_null=True)
    for said in (0, 500, 192):
        line.wait(1)
        line.data(1.0, properties={"Quality": Property(T.INT32, said)})
    line.settle()
    whole = Scans.concatenate(line.scans[-1:])
    live = whole.take(np.flatnonzero(whole.how == How.UNSOLICITED))
    assert live.quality is not None
    assert live.quality.tolist() == [Quality.NO_VALUE, Quality.BAD, Quality.UNCERTAIN, Quality.GOOD]


@pytest.mark.parametrize(
    "metric",
    [
        Metric("", 77, T.DOUBLE, 5.0),
        Metric("Never born", None, T.DOUBLE, 5.0),
        Metric("N", 1, T.DOUBLE, 5.0),
        Metric("", 1, T.STRING, "5"),
    ],
    ids=["unknown alias", "unknown name", "alias of another name", "another datatype"],
)
def test_what_no_birth_named_is_no_value_and_brings_a_rebirth(metric: Metric) -> None:
    line = Line()
    line.birth()
    line.hear("DDATA", metric, seq=line.next())
    line.wait(1)
    assert line.values() == []
    assert line.reasons("error") == ["sparkplug.unknown-metric"]
    assert len(line.asked) == 1


def test_a_rebirth_is_asked_for_at_most_once_a_minute_and_ever_less_from_the_silent() -> None:
    line = Line()
    line.seq = 5
    for _ in range(180):
        line.data()
        line.wait(1)
    assert [round(b - a) for a, b in zip(line.asked, line.asked[1:], strict=False)] == [60] * (
        len(line.asked) - 1
    )
    assert len(line.asked) == 3
    silent = Line()
    silent.wait(4000)
    pauses = [round(b - a) for a, b in zip(silent.asked, silent.asked[1:], strict=False)]
    assert pauses == sorted(pauses)
    assert pauses[:3] == [60, 120, 240]
    assert pauses[-1] == 600


def test_missing_messages_that_come_late_need_no_rebirth() -> None:
    line = Line()
    value(line)
    line.wait(3)
    missing = line.next()
    line.data(2.0)
    line.hear("DDATA", Metric("", 2, T.INT16, 7), seq=missing)
    line.wait(5)
    assert line.asked == []
    assert line.reasons("gap") == []
    assert line.values()[-2:] == [2.0, 7.0]


def test_missing_messages_that_never_come_are_a_gap_and_bring_one_rebirth() -> None:
    line = Line()
    value(line)
    line.wait(3)
    line.next()
    line.next()
    line.data(2.0)
    line.wait(70)
    assert line.reasons("gap") == ["sparkplug.sequence-gap"]
    (event,) = [one for one in line.events if one.kind == "gap"]
    assert event.until - event.at > 2.9 * SECOND_US
    assert len(line.asked) == 2  # and one a minute later, since no birth followed
    line.birth()
    line.wait(200)
    assert len(line.asked) == 2


def test_the_sequence_goes_round_from_255_to_0() -> None:
    line = Line()
    line.birth()
    for number in range(600):
        line.data(float(number))
    line.wait(5)
    assert len(line.values()) == 600
    assert line.asked == []


def test_a_message_delivered_twice_is_put_once() -> None:
    line = Line()
    line.birth()
    payload = Payload(line.device_ms, [Metric("", 1, T.DOUBLE, 1.0)], line.next())
    for _ in range(2):
        line.crew.tell(line.node.take("DDATA", "press", payload, line.now_us, line.at_s), line.now_us)
    assert line.values() == [1.0]


def test_a_clock_that_differs_is_measured_and_said_once() -> None:
    line = Line()
    slow_clock(line)
    line.settle()
    (event,) = [one for one in line.events if one.kind == "clock"]
    assert abs(event.detail["offset_us"] + 3600 * SECOND_US) < SECOND_US
    assert event.detail["accuracy_us"] <= SECOND_US


def test_the_birth_that_was_asked_for_measures_the_clock_at_once() -> None:
    line = Line()
    line.ahead_s = -3600
    line.wait(3)
    line.birth()
    line.data()
    assert line.state() is State.CONNECTED


def test_identity_comes_from_births_and_a_simulator_is_taken_at_its_word() -> None:
    line = Line()
    line.hear(
        "NBIRTH",
        Metric("bdSeq", None, T.INT64, 3),
        Metric("Properties/Simulated", None, T.BOOLEAN, True),
        Metric("Properties/Hardware Make", None, T.STRING, "Muster"),
        seq=0,
    )
    line.device_birth()
    line.settle()
    (event,) = [one for one in line.events if one.kind == "identity"]
    assert event.detail == {"Simulated": "true", "Hardware Make": "Muster"}
    assert event.origin == "simulated"


def test_datasets_templates_and_arrays_are_read_by_their_parts() -> None:
    line = Line(
        Tag(1, "row", "int32", {"metric": "DS", "column": "n", "row": 1}),
        Tag(2, "member", "float64", {"metric": "UDT", "member": ["Motor", "Speed"]}),
        Tag(3, "element", "uint16", {"metric": "A", "index": 2}),
        Tag(4, "text", "string", {"metric": "S"}),
        Tag(5, "when", "datetime", {"metric": "W"}),
        Tag(6, "big", "uint64", {"metric": "B"}),
        Tag(7, "beyond", "uint16", {"metric": "A", "index": 9}),
        Tag(8, "wrong", "float64", {"metric": "S", "index": 0}),
    )
    motor = Template([Metric("Speed", None, T.FLOAT, 2.5)], reference="M")
    birth = [
        Metric("DS", 1, T.DATASET, DataSet(["n"], [T.INT8], [(1,), (-7,)])),
        Metric("UDT", 2, T.TEMPLATE, Template([Metric("Motor", None, T.TEMPLATE, motor)], reference="U")),
        Metric("A", 3, T.UINT16ARRAY, (5, 6, 7)),
        Metric("S", 4, T.STRING, "配方"),
        Metric("W", 5, T.DATETIME, 1_700_000_000_500),
        Metric("B", 6, T.UINT64, 2**63),
    ]
    line.hear("NBIRTH", Metric("bdSeq", None, T.INT64, 3), seq=0)
    line.hear("DBIRTH", *birth, seq=1)
    for one in birth:
        one.name = ""
    line.hear("DDATA", *birth, seq=2)
    line.settle()
    whole = Scans.concatenate(line.scans)
    live = whole.take(np.flatnonzero(whole.how == How.UNSOLICITED))
    assert live.value[[0, 1, 2, 4]].tolist() == [-7.0, 2.5, 7.0, 1_700_000_000.5]
    assert live.quality is not None
    assert live.quality.tolist() == [0, 0, 0, 0, 0, 0, Quality.NO_VALUE, Quality.UNDECODABLE]


def test_no_command_is_addressed_by_an_alias_that_may_mean_another_metric_by_now() -> None:
    line = Line()
    value(line)
    assert line.node.metric("press", "T") is not None
    for happens in (broker_away, wide_gap, node_death, device_death):
        line = Line()
        happens(line)
        assert line.node.metric("press", "T") is None


def test_one_wrong_time_in_the_future_makes_no_history_of_what_follows() -> None:
    line = Line()
    line.birth()
    line.data(1.0, timestamp_ms=line.device_ms + 10**10)
    line.wait(1)
    line.data(2.0)
    assert line.values() == [1.0, 2.0]


KINDS: list[Kind] = ["NBIRTH", "DBIRTH", "NDATA", "DDATA", "NDEATH", "DDEATH"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KINDS), PAYLOAD), max_size=10))
def test_no_sequence_of_payloads_breaks_the_host_and_data_without_births_are_no_values(
    messages: list[tuple[Kind, Payload]],
) -> None:
    line = Line(Tag(1, "t", "float64", {"metric": "0"}), Tag(2, "s", "string", {"metric": "a"}))
    for kind, payload in messages:
        line.at_s += 0.3
        scope = None if kind[0] == "N" else "press"
        line.crew.tell(line.node.take(kind, scope, payload, line.now_us, line.at_s), line.now_us)
        line.crew.tell(line.node.tick(line.at_s), line.now_us)
    if "DBIRTH" not in [kind for kind, _ in messages]:
        assert line.values() == []
    assert line.collector.refused == 0


@settings(deadline=None)
@given(st.binary(max_size=100), st.data())
def test_garbage_after_births_is_no_value(raw: bytes, data: st.DataObject) -> None:
    line = Line()
    line.birth()
    good = encode(Payload(line.device_ms, [Metric("", 1, T.DOUBLE, 3.0)], 2))
    for one in (raw, data.draw(mutated(good))):
        try:
            payload = decode(one)
        except Rejected:
            continue
        named = [m for m in payload.metrics if m.alias in (1, 2) or m.name in ("T", "N")]
        before = len(line.values())
        line.crew.tell(line.node.take("DDATA", "press", payload, line.now_us, line.at_s), line.now_us)
        assert len(line.values()) - before <= len(named)


def topics() -> Iterator[tuple[str, bool]]:
    yield "spBv1.0/车间 1/DDATA/线 1/压力机", True
    yield "spBv1.0/g/NBIRTH/e", True
    for wrong in ("spBv1.0/g/NBIRTH/e/d", "spBv1.0/g/DDATA/e", "spBv1.0/g/NCMD/e", "spBv1.0/STATE/h", "a/b"):
        yield wrong, False
    yield "spBv1.0//NDATA/e", False


@pytest.mark.parametrize(("topic", "known"), list(topics()))
def test_only_an_edge_nodes_own_words_are_heard(topic: str, known: bool) -> None:
    assert (parse(topic) is not None) is known
