"""Growth: the same road at ever more devices (10 values, 1 Hz), until it does not keep up.

Five curves: ingest with database and bus alone (signed batches replayed), the gateway alone by protocol (up to the
bus), and the whole road from Modbus equipment into the database. A point kept up when less than 1 % came late or not at
all and no counter in the data is missing; a curve ends at the first that did not, or where its equipment is too weak.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import modbus, mqtt, opcua
from benchmarks.behind import Point, ingest_alone, whole_road
from benchmarks.gateway import Work, work
from benchmarks.opcua_server import SLOTS
from benchmarks.servers import servers
from simulators.modbus.ports import free_ports

SIZES = (100, 520, 2000, 10_000)
MORE = 100_000
"""Devices with which ingest is tried beyond the others."""
TAGS = 10
OPCUA_SESSIONS = 100
OPCUA_MOST = 2000
"""The simulated server is Python, too: it changes some 25,000 variables a second at most."""


def measure(
    seconds: int,
    sizes: tuple[int, ...] = SIZES,
    only: str | None = None,
    more: bool = True,
    kept_in_order: bool = False,
) -> dict[str, Any]:
    """Return each curve's points by number of devices, and why it ended where it did.

    seconds: of each point; only: one curve; more: try ingest with 100,000 as well; kept_in_order: ingest with the
    keeper's work on the database beside it.
    """
    found: dict[str, Any] = {}
    curves = CURVES | {"ingest": partial(ingest_alone, kept_in_order=kept_in_order)}
    for name, point in curves.items():
        if only in (None, name):
            mine = (*sizes, MORE) if name == "ingest" and more else sizes
            found[name] = _curve(partial(point, seconds=seconds), mine)
    return found


def _curve(take: Callable[[int], Point], sizes: tuple[int, ...]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for devices in sizes:
        begin = time.monotonic()
        try:
            point = take(devices)
        except RuntimeError as error:
            return told | {"ended": f"at {devices} devices: {error}"}
        told[f"{devices}"] = point.told() | {"took_s": round(time.monotonic() - begin)}
        if not point.kept_up:
            told["ended"] = f"at {devices} devices: {point.missed_share:.1%} not in time, {point.lost} lost"
            return told | _memory_of_one(told)
    return told | _memory_of_one(told) | {"ended": "at the largest number asked for"}


def _memory_of_one(told: dict[str, Any]) -> dict[str, float]:
    """Return how much memory one more device takes, between the smallest and the largest point."""
    sizes = sorted(int(name) for name in told if name.isdigit())
    if len(sizes) < 2:
        return {}
    first, last = (sum(told[f"{size}"]["memory_mb"].values()) for size in (sizes[0], sizes[-1]))
    return {"memory_kb_of_one_more": 1000 * (last - first) / (sizes[-1] - sizes[0])}


def _point(
    done: Work, devices: int, share: float, sessions: int, weights: tuple[float, float], step: float
) -> Point:
    return Point(
        missed_share=1.0 - share,
        lost=done.lost(weights, step),
        cores={"gateway": done.cpu_s / done.span_s},
        memory_mb={"gateway": done.memory_mb},
        more={
            "us_per_scan": 1e6 * done.cpu_s / done.scans,
            "devices_per_core": devices * done.span_s / done.cpu_s,
            "sessions": sessions,
        },
    )


def _modbus(devices: int, seconds: int) -> Point:
    """The gateway with Modbus devices, each at its own address; registers 0 and 1 count its polls."""
    with servers() as around, modbus.equipment(devices) as port:
        documents = modbus.documents(devices, TAGS, port)
        done = work(around, documents, modbus.settle_s(devices), seconds)
    return _point(done, devices, done.scans / (devices * done.span_s), devices, (65_536.0, 1.0), 1.0)


def _mqtt(devices: int, seconds: int) -> Point:
    """The gateway with MQTT devices behind one broker; their first value counts their messages."""
    own, port = free_ports(2)
    with servers() as around, mqtt.broker(own, port), mqtt.publishing(devices, devices, port):
        documents = mqtt.documents(port, devices, devices)
        done = work(around, documents, mqtt.SETTLE_S + devices / 500, seconds)
    return _point(done, devices, done.scans / (devices * done.span_s), 1, (1.0, 0.0), 1.0)


def _opcua(devices: int, seconds: int) -> Point:
    """The gateway with OPC UA devices over 100 sessions; their first value counts the server's slots."""
    if devices > OPCUA_MOST:
        raise RuntimeError(f"the simulated server cannot change {devices * TAGS} variables a second")
    sessions = math.gcd(OPCUA_SESSIONS, devices) if devices < OPCUA_SESSIONS else OPCUA_SESSIONS
    with servers() as around, opcua.equipment(devices) as port:
        documents = opcua.documents(port, sessions, devices)
        done = work(around, documents, opcua.SETTLE_S + min(60, devices / 10), seconds)
    share = done.readings / (devices * TAGS * done.span_s)
    return _point(done, devices, share, sessions, (1.0, 0.0), float(SLOTS))


CURVES: dict[str, Callable[..., Point]] = {
    "ingest": ingest_alone,
    "modbus": _modbus,
    "mqtt": _mqtt,
    "opcua": _opcua,
    "road": whole_road,
}
