"""What was shown, what was learnt later, and what no later change may alter."""

import asyncio
from collections.abc import Iterator

import pytest
from psycopg import AsyncConnection

from evidence.counting import instant, questions
from evidence.counting.count import count
from evidence.counting.history import presence
from evidence.counting.timeline import DaysRule, lasting, window
from muster.clock import to_datetime
from muster.device import Origin
from muster.presence import Definition, State
from tests.conftest import Database
from tests.integration.evidence.world import BEGIN, SECOND, Batch, World

MINUTE = 60 * SECOND


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    world = World.open(database.owner, database.ingest)
    yield world
    world.close()


def connected_device(world: World, **facts: object) -> tuple[int, int]:
    """One device, connected since BEGIN, whose gateway is watched live for a minute; and its span."""
    gateway = world.gateway("g")
    device = world.device(BEGIN, world.enterprise("e"), gateway, **facts)
    span = world.watch(gateway, device % 4, Batch(BEGIN, BEGIN + SECOND, BEGIN + SECOND, 1))
    world.see(device, span, BEGIN + 1, BEGIN + SECOND, State.CONNECTED, "value")
    for second in range(1, 60):
        start = BEGIN + second * SECOND
        world.watch(gateway, device % 4, Batch(start, start + SECOND, start + SECOND + 5, 1))
    return device, span


async def rehearsed(database: Database, at: int, known: int) -> tuple[int, str]:
    async with await AsyncConnection.connect(database.ingest) as connection:
        found = await instant.states(connection, to_datetime(at), to_datetime(known), Definition())
    return count(found, "rehearsal", {}).connected, found[0].reason


async def test_an_outbox_drained_after_ten_minutes_corrects_the_past_but_not_what_was_shown(
    world: World, database: Database
) -> None:
    device, span = connected_device(world)
    gateway = world.gateways[0]
    shown_at = BEGIN + 5 * MINUTE
    assert await rehearsed(database, shown_at, shown_at) == (0, "not-watched")
    drained = BEGIN + 11 * MINUTE
    for batch in range(60, 660, 3):
        start = BEGIN + batch * SECOND
        assert world.watch(gateway, device % 4, Batch(start, start + 3 * SECOND, drained + batch, 1)) == span
    assert await rehearsed(database, shown_at, shown_at) == (0, "not-watched")
    assert await rehearsed(database, shown_at, drained + MINUTE) == (1, "value")
    async with await AsyncConnection.connect(database.ingest) as connection:
        start, end = to_datetime(BEGIN), to_datetime(BEGIN + 10 * MINUTE)
        for known, least, share in ((end, 0, 60 / 600), (to_datetime(drained + MINUTE), 1, 1.0)):
            found = await questions.stretches(connection, start, end, known, Definition())
            said = window(found, "rehearsal", BEGIN + 1, BEGIN + 10 * MINUTE)
            assert said.minimum == least
            assert said.observed_share == pytest.approx(share, abs=1e-3)


async def test_what_comes_late_is_counted_though_a_checkpoint_was_made_without_it(
    world: World, database: Database
) -> None:
    gateway, enterprise = world.gateway("g"), world.enterprise("e")
    devices = [world.device(BEGIN, enterprise, gateway) for _ in range(5)]
    first, other = devices[0], devices[4]  # of one partition
    span = world.watch(gateway, first % 4, Batch(BEGIN, BEGIN + MINUTE, BEGIN + MINUTE, 1))
    world.see(first, span, BEGIN + 1, BEGIN + MINUTE, State.CONNECTED)
    world.see(other, span, BEGIN + 30 * SECOND, BEGIN + MINUTE, State.CONNECTED)
    late, at = BEGIN + 10 * MINUTE, to_datetime(BEGIN + 40 * SECOND)

    async def connected(known: int) -> int:
        async with await AsyncConnection.connect(database.ingest) as connection:
            found = await instant.states(connection, at, to_datetime(known), Definition())
        return count(found, "rehearsal", {}).connected

    async def checkpoints() -> int:
        async with await AsyncConnection.connect(database.owner) as connection:
            cursor = await connection.execute("select count(*) from presence_checkpoint")
            return int((await cursor.fetchone() or (0,))[0])

    await asyncio.to_thread(world.checkpoint)
    assert await checkpoints() == 2
    assert await connected(late) == 2
    world.see(first, span, BEGIN + 20 * SECOND, late, State.OFFLINE)
    assert await checkpoints() == 1
    assert await connected(late) == 1
    assert await connected(late - 1) == 2
    await asyncio.to_thread(world.checkpoint)
    assert await checkpoints() == 3
    assert await connected(late) == 1
    # what was recorded later than is asked for is in the newer checkpoints, which therefore are not used
    assert await connected(late - 1) == 2


async def test_what_was_recorded_after_the_asked_knowledge_is_not_in_the_window(
    world: World, database: Database
) -> None:
    device, span = connected_device(world)
    fell, recorded = BEGIN + 59 * SECOND, BEGIN + 60 * SECOND
    world.see(device, span, fell, recorded, State.OFFLINE, "connection-refused")
    async with await AsyncConnection.connect(database.ingest) as connection:
        start, end = to_datetime(BEGIN + 30 * SECOND), to_datetime(recorded - 1)
        before = await questions.stretches(connection, start, end, to_datetime(recorded - 1), Definition())
        after = await questions.stretches(connection, start, end, to_datetime(recorded), Definition())
        assert window(before, "rehearsal", BEGIN + 30 * SECOND, recorded - 1).minimum == 1
        assert window(after, "rehearsal", BEGIN + 30 * SECOND, recorded - 1).minimum == 0
        said = [
            [i.state for i in await presence(connection, device, start, end, to_datetime(k), Definition())]
            for k in (recorded - 1, recorded)
        ]
        assert said == [[State.CONNECTED], [State.CONNECTED, State.OFFLINE]]


async def test_a_silent_gateway_leaves_its_devices_unobserved_not_offline(
    world: World, database: Database
) -> None:
    connected_device(world)
    last = BEGIN + MINUTE + 5
    assert await rehearsed(database, last + 10 * SECOND, last + 10 * SECOND) == (1, "value")
    assert await rehearsed(database, last + 10 * SECOND + 1, last + 10 * SECOND + 1) == (0, "not-watched")
    # as known later, the last instant it is known to have watched ends the watch
    assert await rehearsed(database, BEGIN + MINUTE, last + MINUTE) == (1, "value")
    assert await rehearsed(database, BEGIN + MINUTE + 1, last + MINUTE) == (0, "not-watched")


async def test_renaming_moving_or_retiring_a_device_changes_no_past_count(
    world: World, database: Database
) -> None:
    device, _ = connected_device(world, origin=Origin.REAL)
    at, known = BEGIN + 30 * SECOND, BEGIN + 20 * MINUTE
    async with await AsyncConnection.connect(database.ingest) as connection:

        async def picture() -> list[object]:
            found = await instant.states(connection, to_datetime(at), to_datetime(known), Definition())
            return [*found]

        before = await picture()
        world.alter(device, BEGIN + 2 * MINUTE, name="改名", gateway=None)
        world.alter(device, BEGIN + 3 * MINUTE, origin=Origin.SIMULATED)
        world.alter(device, BEGIN + 4 * MINUTE, retired=True)
        assert await picture() == before
        later = to_datetime(BEGIN + 5 * MINUTE)
        assert not await instant.states(connection, later, to_datetime(known), Definition())


async def test_an_identity_that_names_a_simulator_outweighs_the_ledger(
    world: World, database: Database
) -> None:
    device, _ = connected_device(world, origin=Origin.REAL)
    world.identify(device, BEGIN + 30 * SECOND, BEGIN + 31 * SECOND, Origin.SIMULATED)
    async with await AsyncConnection.connect(database.ingest) as connection:

        async def official(at: int, known: int) -> int:
            found = await instant.states(connection, to_datetime(at), to_datetime(known), Definition())
            return count(found, "official", {}).connected

        assert await official(BEGIN + 29 * SECOND, BEGIN + 40 * SECOND) == 1
        assert await official(BEGIN + 30 * SECOND, BEGIN + 30 * SECOND) == 1
        assert await official(BEGIN + 30 * SECOND, BEGIN + 31 * SECOND) == 0


async def test_days_are_counted_in_the_programmes_time_zone(world: World, database: Database) -> None:
    connected_device(world)
    midnight = BEGIN + 16 * 3600 * SECOND  # 2024-01-02 00:00 in Shanghai
    rule = DaysRule(minutes=2, least=1, of_days=1, time_zone="Asia/Shanghai")
    async with await AsyncConnection.connect(database.ingest) as connection:
        found = await questions.stretches(
            connection,
            to_datetime(BEGIN - 24 * 3600 * SECOND),
            to_datetime(midnight),
            to_datetime(midnight),
            Definition(),
        )
    assert lasting(found, "rehearsal", rule, to_datetime(midnight - 1)) == 0
    minute = DaysRule(minutes=1, least=1, of_days=1, time_zone="Asia/Shanghai")
    assert lasting(found, "rehearsal", minute, to_datetime(midnight - 1)) == 1
    assert [str(day) for day in rule.days(to_datetime(midnight - 1))] == ["2024-01-01"]
    assert [str(day) for day in rule.days(to_datetime(midnight))] == ["2024-01-02"]
