"""DATA of a form that was seen before is read at once, as the codec reads it, and means the same to host and device."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from muster.device import Tag
from muster.sparkplug import DataType, Metric, Numbers, Payload, Reader, decode, encode
from muster.sparkplug.codec import decode_any
from muster.sparkplug.forms import Form, form_of
from tests.unit.sparkplug.line import Line, T

MS = st.sampled_from([0, 127, 128, 1_699_999_999_000, 1_700_000_000_000, 1_700_000_000_001, 2**62])
CARRIED = st.sampled_from([DataType.DOUBLE, DataType.FLOAT])
NUMBER = st.floats(width=32)


@st.composite
def told(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """Give a payload and others of its metrics, at other times with other values."""
    metrics = draw(st.lists(st.tuples(st.integers(0, 300), CARRIED), min_size=1, max_size=5))
    payloads = []
    for _ in range(3):
        time = draw(MS)
        said = [Metric("", alias, kind, draw(NUMBER), time) for alias, kind in metrics]
        payloads.append(encode(Payload(draw(MS), said, draw(st.integers(0, 255)))))
    return payloads[0], payloads[1:]


def same(found: Numbers, raw: bytes) -> bool:
    return repr(Payload(found.timestamp_ms, found.metrics, found.seq)) == repr(decode_any(raw))


def of(raw: bytes) -> Form:
    form = form_of(raw)
    assert form is not None
    return form


@given(told())
def test_what_is_read_by_its_form_is_what_protobuf_reads(payloads: tuple[bytes, list[bytes]]) -> None:
    first, others = payloads
    form = of(first)
    found = form.read(first)
    assert found is not None
    assert same(found, first)
    for raw in others:
        found = form.read(raw)
        assert found is None or same(found, raw)


@given(told(), st.data())
def test_whatever_became_of_its_bytes_a_form_reads_them_as_protobuf_or_not_at_all(
    payloads: tuple[bytes, list[bytes]], data: st.DataObject
) -> None:
    raw = bytearray(payloads[0])
    form = of(payloads[0])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(1, 2))] = data.draw(st.binary(min_size=1, max_size=2))
    found = form.read(bytes(raw))
    if found is not None:
        assert same(found, bytes(raw))


def test_another_value_at_another_time_has_the_same_form() -> None:
    def said(value: float, time_ms: int, seq: int) -> bytes:
        metrics = [Metric("", at, DataType.DOUBLE, value + at, time_ms) for at in range(3)]
        return encode(Payload(time_ms + 1, metrics, seq))

    form = of(said(1.0, 1_700_000_000_000, 9))
    for seq in (0, 127, 128, 255):
        found = form.read(said(-7.5, 1_700_000_009_000, seq))
        assert found is not None
        assert (found.values, found.time_ms, found.seq) == ((-7.5, -6.5, -5.5), 1_700_000_009_000, seq)


def test_what_has_no_alias_no_time_no_number_or_two_times_has_no_form() -> None:
    for metric in (
        Metric("T", None, T.DOUBLE, 1.0, 5),
        Metric("", 1, T.DOUBLE, 1.0),
        Metric("", 1, T.BOOLEAN, True, 5),
        Metric("", 1, T.INT32, 1, 5),
        Metric("", 1, T.DOUBLE, 1.0, 6),
        Metric("", 1, T.DOUBLE, 1.0, 5, is_historical=True),
    ):
        assert form_of(encode(Payload(5, [Metric("", 2, T.DOUBLE, 1.0, 5), metric], 1))) is None
    assert form_of(encode(Payload(5, [], 1))) is None


def test_a_reader_learns_a_new_form() -> None:
    def said(alias: int) -> bytes:
        return encode(Payload(5, [Metric("", alias, DataType.DOUBLE, 1.0, 5)], 1))

    reader = Reader()
    assert isinstance(reader.read(said(1)), Payload)
    assert isinstance(reader.read(said(1)), Numbers)
    assert isinstance(reader.read(said(2)), Payload)
    assert isinstance(reader.read(said(2)), Numbers)


TAGS = [
    Tag(1, "a", "float64", {"metric": "A"}),
    Tag(2, "b", "float64", {"metric": "B"}),
    Tag(3, "c", "float64", {"metric": "C"}),
    Tag(7, "far", "float64", {"metric": "Far"}),
    Tag(8, "scaled", "float64", {"metric": "Scaled"}, scale=0.5),
    Tag(9, "whole", "int32", {"metric": "Whole"}),
]
METRICS = ["A", "B", "C", "Far", "Scaled", "Whole", "Unwanted"]
ALL = (0, 1, 2)
OTHERS = [(2, 1, 0), (1,), (0, 2), (0, 1, 2, 3), (0, 1, 2, 6), (4, 5), (0, 0), (0, 9)]
DATA = st.tuples(
    st.sampled_from([*[ALL] * 12, *OTHERS]),
    st.sampled_from([1.5, 2.0, 3.0, 1e300, float("inf"), float("nan")]),
    st.sampled_from([*[1000] * 5, 0, -500, 90_000, 4_000_000]),
    st.sampled_from([*[False] * 9, True]),
)
STEP = st.one_of(*[DATA] * 8, st.sampled_from(["birth", "device birth", "lost"]))


def heard(steps: list[Any], *, at_once: bool) -> tuple[Any, ...]:
    line = Line(*TAGS)
    if not at_once:
        line.read = decode
    names = METRICS
    for step in [*["birth", ((0, 1, 2), 1.0, 1000, False)], *steps]:
        line.wait(1)
        if step == "birth":
            line.seq = 0
            line.hear("NBIRTH", Metric("bdSeq", None, T.INT64, line.bd_seq), seq=0)
        if step in ("birth", "device birth"):
            metrics = [Metric(name, at, T.DOUBLE, 0.0) for at, name in enumerate(names)]
            line.hear("DBIRTH", *metrics, seq=line.next())
        elif step == "lost":
            line.next()
            names = [*names[1:3], names[0], *names[3:]]  # another birth may give the aliases other names
        else:
            aliases, value, ahead_ms, single = step
            time_ms = line.device_ms - 1000 + ahead_ms
            kind = T.FLOAT if single and value < 1e300 else T.DOUBLE
            metrics = [Metric("", alias, kind, value + alias, time_ms) for alias in aliases]
            line.hear("DDATA", *metrics, seq=line.next())
    line.settle()
    report = line.station.report()
    scans = [
        (one.time.tolist(), one.first.tolist(), one.how.tolist(), one.offsets.tolist(), one.value.tobytes())
        for one in line.scans
    ]
    qualities = [None if one.quality is None else one.quality.tolist() for one in line.scans]
    return (
        scans,
        qualities,
        line.events,
        line.asked,
        (report.polls, report.answers, report.last_good, report.errors),
    )


@given(st.lists(STEP, min_size=4, max_size=16))
def test_a_device_is_told_the_same_however_its_messages_were_read(steps: list[Any]) -> None:
    assert heard(steps, at_once=True) == heard(steps, at_once=False)
