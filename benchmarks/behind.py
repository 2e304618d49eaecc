"""One point of growth with the database behind it: what was sent against what stands in the rows."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from benchmarks import kept, modbus
from benchmarks.gateway import command, missing, tell
from benchmarks.replayer import Replay, gateways, phase_us
from benchmarks.road import Meter, housekeeping, ingesting, register, rolled_up_behind_s
from benchmarks.servers import Servers, servers
from bus.subjects import PARTITIONS
from deploy.child import running
from muster.clock import SECOND_US

TAGS = 10
START_S, SETTLE_S, IN_TIME_S = 8.0, 3.0, 5.0
"""Until a replay begins; from then until CPU is counted; how late the last rows may be and still be in time."""
CATCH_UP_S = 60.0
MADE_PER_S = 300_000
"""Scans that the publisher makes and signs a second at least, before the replay begins."""
MISSED_AT_MOST = 0.01


@dataclass(frozen=True, slots=True)
class Point:
    """missed_share: what was not there in time; lost: counters missing for good; cores, memory_mb: by process."""

    missed_share: float
    lost: int
    cores: dict[str, float]
    memory_mb: dict[str, float]
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def kept_up(self) -> bool:
        """Whether nearly everything was there in time, and nothing is missing."""
        return self.missed_share <= MISSED_AT_MOST and not self.lost

    def told(self) -> dict[str, Any]:
        """Return it for the history."""
        return {
            "kept_up": self.kept_up,
            "missed_share": self.missed_share,
            "lost": self.lost,
            "cores": self.cores,
            "memory_mb": self.memory_mb,
            **self.more,
        }


def ingest_alone(devices: int, seconds: int, kept_in_order: bool = False) -> Point:
    """Bus, ingest and database under signed batches of these devices, published in real time.

    kept_in_order: with the keeper's work on the database: roll-ups, partitions, checkpoints.
    """
    with servers(devices) as around:
        key = Ed25519PrivateKey.generate()
        fleet = gateways(devices)
        register(around, key, fleet, TAGS)
        with ingesting(around) as worker, _keeper(around, kept_in_order) as keeper:
            _until(lambda: _positions(around) == PARTITIONS, 120, "ingest has not begun")
            start_s = START_S + devices * seconds / MADE_PER_S
            begin_us = int((time.time() + start_s) * SECOND_US)
            replay = Replay(devices, TAGS, begin_us, seconds)
            with replay.running(around.folder, around.bus["launcher"], key) as publisher:
                _sleep_until(begin_us / 1e6 + SETTLE_S)
                meter = Meter.begun(around, ingest=worker, publisher=psutil.Process(publisher.pid), **keeper)
                first = meter.memory_mb()
                _sleep_until(begin_us / 1e6 + seconds / 2)
                half = meter.memory_mb()
                _sleep_until(begin_us / 1e6 + seconds)
                cores, memory = meter.cores(), meter.memory_mb()
                late_s = replay.late_s(publisher)
                behind_s = rolled_up_behind_s(around)
            in_time = _wait_for(around, devices * seconds, IN_TIME_S)
            begin = time.monotonic()
            _wait_for(around, devices * seconds, CATCH_UP_S + seconds)
            caught_up_s = time.monotonic() - begin
        whole = kept.seconds_kept(around, seconds)
        delay = _delays_ms(kept.marks(around), begin_us, len(fleet))
    return Point(
        missed_share=1.0 - in_time / (devices * seconds),
        lost=devices * seconds - whole.scans,
        cores=cores,
        memory_mb=memory,
        more={
            "readings_per_s": devices * TAGS,
            "seconds": seconds,
            "devices_whole": whole.whole_devices,
            "quarantined": whole.quarantined,
            "delay_ms": _quantiles(delay),
            "delay_ms_first_half": _quantiles(delay[: len(delay) // 2]),
            "delay_ms_second_half": _quantiles(delay[len(delay) // 2 :]),
            "memory_mb_at_first": first,
            "memory_mb_at_half": half,
            "publisher_late_s": late_s,
            "caught_up_after_s": caught_up_s,
            **({"rolled_up_behind_s": behind_s} if kept_in_order else {}),
        },
    )


def whole_road(devices: int, seconds: int) -> Point:
    """A gateway with Modbus devices, bus, ingest, database and the keeper's work on it; the equipment is apart."""
    with servers(devices) as around, modbus.equipment(devices) as port:
        key = Ed25519PrivateKey.generate()
        register(around, key, [range(1, devices + 1)], TAGS)
        asyncio.run(tell(around, modbus.documents(devices, TAGS, port)))
        with ingesting(around) as worker, _keeper(around, True) as keeper:
            with running(command(around, key)) as process:
                time.sleep(modbus.settle_s(devices))
                meter = Meter.begun(around, gateway=psutil.Process(process.pid), ingest=worker, **keeper)
                first, begin = meter.memory_mb(), time.time()
                time.sleep(seconds)
                end, cores, memory = time.time(), meter.cores(), meter.memory_mb()
                time.sleep(IN_TIME_S)
                in_time = len(kept.counted_scans(around, begin, end)[0])
                behind_s = rolled_up_behind_s(around)
            _settled(around)
        device, count = kept.counted_scans(around, begin, end)
        delay = kept.delays_ms(around, begin, end)
    return Point(
        missed_share=1.0 - in_time / (devices * (end - begin)),
        lost=missing(device, count),
        cores=cores,
        memory_mb=memory,
        more={
            "devices_per_core": devices / sum(cores.values()),
            "cores_in_all": sum(cores.values()),
            "memory_mb_in_all": sum(memory.values()),
            "memory_mb_at_first": first,
            "delay_ms": _quantiles(delay),
            "rolled_up_behind_s": behind_s,
        },
    )


@contextmanager
def _keeper(around: Servers, wanted: bool) -> Iterator[dict[str, psutil.Process]]:
    """Run the keeper's work on the database if `wanted`, and give its process by name."""
    if not wanted:
        yield {}
        return
    with housekeeping(around) as process:
        yield {"keeper": process}


def _positions(around: Servers) -> int:
    with psycopg.connect(around.owner) as session:
        row = session.execute("select count(*) from stream_position where stream <> ''").fetchone()
    assert row is not None
    return int(row[0])


def _delays_ms(marks: NDArray[np.int64], begin_us: int, count: int) -> NDArray[np.float64]:
    """Return how long after its sealing each batch was recorded, in the order of recording."""
    gateway, sequence, recorded_us = marks.T
    phases = np.array([phase_us(number, count) for number in range(1, count + 1)])
    sealed_us = begin_us + phases[gateway - 1] + sequence * SECOND_US
    delays: NDArray[np.float64] = (recorded_us - sealed_us) / 1000
    return delays


def _quantiles(values: NDArray[np.float64]) -> dict[str, float]:
    if not len(values):
        return {}
    p50, p99 = np.percentile(values, (50, 99))
    return {"p50": float(p50), "p99": float(p99), "most": float(values.max())}


def _wait_for(around: Servers, scans: int, limit_s: float) -> int:
    """Wait until so many scans are stored, at most `limit_s`, and return how many are."""
    deadline = time.monotonic() + limit_s
    while (there := kept.stored(around)) < scans and time.monotonic() < deadline:
        time.sleep(0.2)
    return there


def _settled(around: Servers) -> None:
    """Wait until nothing more comes."""
    before = -1
    while (there := kept.stored(around)) != before:
        before = there
        time.sleep(2.0)


def _until(true: Callable[[], bool], limit_s: float, otherwise: str) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > deadline:
            raise RuntimeError(otherwise)
        time.sleep(0.2)


def _sleep_until(at_s: float) -> None:
    time.sleep(max(0.0, at_s - time.time()))
