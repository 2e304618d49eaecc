"""Each protocol's own notion of a session and of freshness becomes the state that DESIGN §4 names.

A real room hears real equipment; what it tells goes through the gateway's collector into the watch that ingest keeps.
Each row says what happens to equipment, the state then, and the state after a whole window of silence. A protocol has
no row of what it does not have: Modbus of births, clocks and anything retained, OPC UA of births and anything retained
(its servers' clocks jump in `tests/integration/simulators/test_opcua_room.py`). An idle hour of what publishes is
silence; of what can be asked it is answers. The whole table of Sparkplug, in the test's own time, is
`tests/unit/sparkplug/test_states.py`.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import nats
from deploy.child import running
from muster.presence import State
from simulators.modbus.ports import free_ports
from tests.integration.presence.asked import IdleMachine, Machine, Unit
from tests.integration.presence.brokered import Line, Press

CONNECTED, RESPONDING, LINKED, OFFLINE = State.CONNECTED, State.RESPONDING, State.LINKED, State.OFFLINE

ROWS = [
    ("modbus", "nobody", OFFLINE, OFFLINE),
    ("modbus", "value", CONNECTED, LINKED),
    ("modbus", "restart", CONNECTED, LINKED),
    ("modbus", "cut", CONNECTED, OFFLINE),
    ("modbus", "silence", CONNECTED, LINKED),
    ("modbus", "idle", CONNECTED, LINKED),
    ("modbus", "ping_only", RESPONDING, LINKED),
    ("modbus", "malformed", LINKED, LINKED),
    ("opcua", "nobody", OFFLINE, OFFLINE),
    ("opcua", "restart", CONNECTED, LINKED),
    ("opcua", "cut", CONNECTED, OFFLINE),
    pytest.param("opcua", "silence", CONNECTED, OFFLINE, marks=pytest.mark.long),
    ("opcua", "idle", CONNECTED, LINKED),
    ("opcua", "without_value", RESPONDING, LINKED),
    ("mqtt", "value", CONNECTED, LINKED),
    ("mqtt", "restart", CONNECTED, LINKED),
    ("mqtt", "cut", CONNECTED, OFFLINE),
    ("mqtt", "clock_behind", CONNECTED, LINKED),
    pytest.param("mqtt", "clock_ahead", CONNECTED, LINKED, marks=pytest.mark.long),
    ("mqtt", "birth_only", LINKED, LINKED),
    ("mqtt", "ping_only", RESPONDING, LINKED),
    ("mqtt", "retained_only", State.UNOBSERVED, OFFLINE),
    ("mqtt", "without_value", RESPONDING, LINKED),
    ("mqtt", "malformed", LINKED, LINKED),
    ("mqtt", "replayed", RESPONDING, LINKED),
    ("sparkplug", "value", CONNECTED, LINKED),
    ("sparkplug", "restart", CONNECTED, LINKED),
    ("sparkplug", "cut", CONNECTED, OFFLINE),
    ("sparkplug", "clock_behind", CONNECTED, LINKED),
    pytest.param("sparkplug", "clock_ahead", CONNECTED, LINKED, marks=pytest.mark.long),
    ("sparkplug", "birth_only", RESPONDING, LINKED),
    ("sparkplug", "ping_only", RESPONDING, LINKED),
    ("sparkplug", "retained_only", OFFLINE, OFFLINE),
    ("sparkplug", "without_value", RESPONDING, LINKED),
    ("sparkplug", "malformed", RESPONDING, LINKED),
]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The embedded broker's port, and the file of the listener's password."""
    folder = tmp_path_factory.mktemp("broker")
    port, mqtt_port = free_ports(2)
    (folder / "secret").write_text("sesame")
    server = nats.Embedded(folder / "nats", port, 2**26, mqtt_port)
    with running(nats.prepare(server, dict.fromkeys(nats.MQTT_USERS, "sesame"))):
        asyncio.run(nats.ready(server))
        yield mqtt_port, folder / "secret"


@pytest.mark.parametrize(("protocol", "happening", "now", "silent"), ROWS)
async def test_the_state_follows_from_what_happens_to_equipment(
    broker: tuple[int, Path], tmp_path: Path, protocol: str, happening: str, now: State, silent: State
) -> None:
    equipment: Press | Line | Machine | Unit
    match protocol:
        case "mqtt":
            equipment = Press(*broker, f"mqtt-{happening}")
        case "sparkplug":
            equipment = Line(*broker, f"sparkplug-{happening}")
        case "opcua":
            equipment = (IdleMachine if happening == "idle" else Machine)(*free_ports(1))
        case _:
            equipment = Unit()
    await equipment.begin()
    bench = equipment.bench(tmp_path)
    try:
        async with bench.working():
            await getattr(equipment, happening)(bench)
            await bench.becomes(now, silent)
    finally:
        await equipment.end()
