"""The counting SQL gives what the rules say, whatever happened."""

import asyncio
import random
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import numpy as np
import psycopg
import pytest
from psycopg import AsyncConnection

from evidence.counting import instant, questions
from evidence.counting.count import count
from evidence.counting.history import presence
from evidence.counting.timeline import observed_share, series, steps, window
from muster.clock import to_datetime
from muster.presence import Definition, State
from tests.conftest import Database
from tests.integration.evidence import chance, reference
from tests.integration.evidence.world import BEGIN, SECOND, World

DEFINITION = Definition()
SEEDS = [*range(4), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 60))]


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    world = World.open(database.owner, database.ingest)
    yield world
    world.close()


def probes(world: World, draw: random.Random, how_many: int) -> list[tuple[int, int]]:
    """Pairs (at, known), at the instants where things change, beside them, and anywhere."""
    edges = reference.instants(world, BEGIN, BEGIN + chance.SPAN_S * SECOND, BEGIN)
    found = []
    for _ in range(how_many):
        at = draw.choice(edges) + draw.choice([-1, 0, 1]) if draw.random() < 0.7 else chance._moment(draw)
        known = max(at, draw.choice(edges) + draw.choice([-1, 0, 1, 10 * SECOND, 400 * SECOND]))
        found.append((at, draw.choice([known, known, at])))
    return found


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_state_of_every_device_is_the_rules_answer(
    world: World, database: Database, seed: int
) -> None:
    await asyncio.to_thread(chance.unfold, world, seed)
    async with await AsyncConnection.connect(database.ingest) as connection:
        for at, known in probes(world, random.Random(seed), 60):
            found = await instant.states(connection, to_datetime(at), to_datetime(known), DEFINITION)
            expected = reference.everything(world, at, known)
            assert {d.device: (d.state, d.reason, d.origin, d.name) for d in found} == {
                number: (a.state, a.reason, a.origin, a.page.name) for number, a in expected.items()
            }, f"at {at} as known at {known}"
            for scope in ("official", "rehearsal"):
                counted = count(found, scope, {})  # type: ignore[arg-type]
                assert counted.connected == sum(a.counts(scope) for a in expected.values())
                assert len(counted.excluded) + counted.connected == len(expected)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_window_holds_the_count_of_each_of_its_instants(
    world: World, database: Database, seed: int
) -> None:
    await asyncio.to_thread(chance.unfold, world, seed)
    draw = random.Random(seed)
    start = BEGIN + draw.randrange(0, 300) * SECOND
    changes = [t.at for seen in world.transitions.values() for t in seen if t.at > start + SECOND]
    end = draw.choice([*changes, start + draw.randrange(1, 400) * SECOND]) + 1
    known = end + draw.choice([0, 0, 0, 5, 30, 2000]) * SECOND
    edges = np.array(reference.instants(world, start, end, known), np.int64)
    answers = [reference.everything(world, at, known) for at in edges.tolist()]
    async with await AsyncConnection.connect(database.ingest) as connection:
        found = await questions.stretches(
            connection, to_datetime(start), to_datetime(end), to_datetime(known), DEFINITION
        )
    lasted = np.diff(edges, append=end)
    for scope in ("official", "rehearsal"):
        expected = np.array([sum(a.counts(scope) for a in each.values()) for each in answers])
        which = found.counted(scope)
        function = steps(found.start[which], found.end[which], start, end)
        assert function.at(edges).tolist() == expected.tolist()
        said = window(found, scope, start, end)
        assert said.minimum == expected.min()
        for share, value in ((0.5, said.median), (0.05, said.p5)):
            assert lasted[expected <= value].sum() >= share * (end - start)
            assert lasted[expected < value].sum() < share * (end - start)
    seen = [sum(a.state != State.UNOBSERVED for a in each.values()) / max(len(each), 1) for each in answers]
    share = float(np.dot(seen, lasted) / (end - start))
    assert observed_share(found, start, end) == pytest.approx(share, abs=1e-9)
    sampled = series(found, start, end, 7 * SECOND)
    for row, at in enumerate(sampled.time.tolist()):
        expected_now = reference.everything(world, at, known)
        assert sampled.frame[row] == len(expected_now)
        assert sampled.rehearsal[row] == sum(a.counts("rehearsal") for a in expected_now.values())
        assert sampled.rehearsal_min[row] <= sampled.rehearsal[row]


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_devices_presence_has_no_holes_and_says_at_each_instant_what_the_rules_say(
    world: World, database: Database, seed: int
) -> None:
    await asyncio.to_thread(chance.unfold, world, seed)
    draw = random.Random(seed)
    start, end = BEGIN - 5 * SECOND, BEGIN + 500 * SECOND
    known = end + draw.choice([0, 5, 30, 2000]) * SECOND
    async with await AsyncConnection.connect(database.ingest) as connection:
        for device in world.ledger:
            found = await presence(
                connection, device, to_datetime(start), to_datetime(end), to_datetime(known), DEFINITION
            )
            assert found[0].start == to_datetime(start)
            assert found[-1].end == to_datetime(end)
            assert all(a.end == b.start for a, b in pairwise(found))
            for at in reference.instants(world, start, end, known):
                moment = to_datetime(at)
                said = next(i for i in found if i.start <= moment < i.end)
                expected = reference.answer(world, device, at, known)
                if expected is None:
                    assert said.reason in ("retired", "not-registered")
                else:
                    assert (said.state, said.reason) == (expected.state, expected.reason), at


async def test_the_filter_leaves_only_the_devices_it_names(world: World, database: Database) -> None:
    one, two = world.enterprise("one"), world.enterprise("two")
    devices = [world.device(BEGIN, enterprise, None) for enterprise in (one, two)]
    world.alter(devices[1], BEGIN + SECOND, industry="chemicals")
    moment = to_datetime(BEGIN + 2 * SECOND)
    async with await AsyncConnection.connect(database.ingest) as connection:
        for which, expected in (
            (questions.Filter(), devices),
            (questions.Filter(enterprises=[one]), devices[:1]),
            (questions.Filter(industry="chemicals"), devices[1:]),
            (questions.Filter(enterprises=[one], industry="chemicals"), []),
            (questions.Filter(enterprises=[]), []),
            (questions.Filter(devices=devices[1:]), devices[1:]),
            (questions.Filter(devices=devices, enterprises=[one]), devices[:1]),
        ):
            found = await instant.states(connection, moment, moment, DEFINITION, which)
            assert [device.device for device in found] == expected
            stretches = await questions.stretches(
                connection, moment, moment + timedelta(seconds=1), moment, DEFINITION, which
            )
            assert sorted(set(stretches.device.tolist())) == expected


async def test_a_reader_of_one_enterprise_counts_only_its_devices(world: World, database: Database) -> None:
    one, two = world.enterprise("one"), world.enterprise("two")
    gateway = world.gateway("shared")
    mine, other = (world.device(BEGIN, enterprise, gateway) for enterprise in (one, two))
    assert mine != other
    moment = to_datetime(BEGIN + SECOND)
    async with await AsyncConnection.connect(database.api) as connection:
        await connection.execute("select set_config('muster.enterprise', %s, true)", (str(one),))
        found = await instant.states(connection, moment, moment, DEFINITION)
        assert [device.device for device in found] == [mine]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("insert into presence select * from presence")
