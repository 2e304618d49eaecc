"""Random histories: outages, late drains, restarts, clock jumps, renames, moves, retirements, origins."""

import random

from muster.device import Origin
from muster.presence import State
from tests.integration.evidence.world import BEGIN, LEASE, PARTITIONS, SECOND, Batch, World

SPAN_S = 600
STATES = list(State)[1:]
CHECKPOINTS = 0.005
"""How often the keeper comes by: after this share of the batches, so that much is written behind its back."""


def unfold(world: World, seed: int) -> None:
    """Fill the world with ten minutes of a history that `seed` decides."""
    chance, keeper = random.Random(seed), random.Random(seed + 1)
    enterprises = [world.enterprise(f"e{n}") for n in range(2)]
    gateways = [world.gateway(f"g{n}") for n in range(2)]
    for _ in range(chance.randint(3, 10)):
        _register(world, chance, enterprises, gateways)
        if keeper.random() < 0.3:
            world.checkpoint()
    for gateway in gateways:
        for partition in range(PARTITIONS):
            _watch(world, chance, keeper, gateway, partition)
    world.checkpoint()
    _revise(world, keeper)
    if keeper.random() < 0.5:
        world.checkpoint()


def _moment(chance: random.Random) -> int:
    """An instant of the history; often a whole second, so that things fall together."""
    at = BEGIN + chance.randrange(SPAN_S) * SECOND
    return at if chance.random() < 0.7 else at + chance.randrange(SECOND)


def _register(world: World, chance: random.Random, enterprises: list[int], gateways: list[int]) -> None:
    born = BEGIN - SECOND if chance.random() < 0.7 else _moment(chance)
    device = world.device(
        born,
        chance.choice(enterprises),
        chance.choice([*gateways, *gateways, *gateways, None]),
        origin=chance.choice([Origin.REAL, Origin.REAL, Origin.SIMULATED, Origin.UNKNOWN]),
        consumes_energy=chance.random() < 0.9,
    )
    for at in sorted({_moment(chance) for _ in range(chance.randint(0, 3))}):
        if at <= born:
            continue
        match chance.randrange(5):
            case 0:
                world.alter(device, at, name="改名")
            case 1:
                world.alter(device, at, gateway=chance.choice([*gateways, None]))
            case 2:
                world.alter(device, at, retired=chance.random() < 0.7)
            case 3:
                world.alter(device, at, origin=chance.choice([Origin.REAL, Origin.REPLAYED]))
            case 4:
                world.alter(device, at, industry="chemicals")
    for at in sorted({_moment(chance) for _ in range(chance.randint(0, 2))}):
        late = chance.choice([0, 1, 300]) * SECOND
        world.identify(device, at, at + late, chance.choice([None, Origin.SIMULATED, Origin.REAL]))


def _revise(world: World, chance: random.Random) -> None:
    """Learn late, behind checkpoints, of states in spans long past and of what devices are."""
    for device, seen in list(world.transitions.items()):
        for known in list(seen):
            at = known.at + chance.randint(-30 * SECOND, 30 * SECOND)
            if chance.random() < 0.2 and at not in {t.at for t in world.transitions[device]}:
                recorded = max(at, known.recorded) + chance.choice([0, 5, 300]) * SECOND
                world.see(device, known.span, at, recorded, chance.choice(STATES))
        if chance.random() < 0.3:
            at = _moment(chance)
            if at not in {said.at for said in world.said[device]}:
                world.identify(device, at, at + chance.choice([0, 300]) * SECOND, Origin.SIMULATED)


def _watch(world: World, chance: random.Random, keeper: random.Random, gateway: int, partition: int) -> None:
    """Seal batches one after another, deliver some late, stop, restart, jump."""
    now, epoch, recorded = BEGIN + chance.randrange(60) * SECOND, 1, 0
    devices = [device for device in world.ledger if device % PARTITIONS == partition]
    current: dict[int, State] = {}
    span, late_until = None, 0
    while now < BEGIN + SPAN_S * SECOND:
        end = now + chance.randint(1, 50) * SECOND // 10
        if chance.random() < 0.06:
            late_until = end + chance.randint(12, 200) * SECOND
        delay = max(late_until - end, 0) + chance.randrange(SECOND)
        recorded = max(recorded + chance.randint(0, 3), end + delay)
        stopping = chance.random() < 0.02
        before = span
        span = world.watch(gateway, partition, Batch(now, end, recorded, epoch, stopping))
        if span != before:
            current.clear()
        for device in devices:
            if chance.random() < 0.25:
                state = chance.choice([*STATES, State.CONNECTED, State.CONNECTED, State.UNOBSERVED])
                if current.get(device, State.UNOBSERVED) != state:
                    current[device] = state
                    at = chance.choice([now + 1, end, chance.randint(now + 1, end)])
                    world.see(device, span, at, recorded, state)
        if keeper.random() < CHECKPOINTS:
            world.checkpoint()
        now = end
        if stopping or chance.random() < 0.03:
            now, epoch = now + chance.randint(0, 400) * SECOND // 10, epoch + 1
        elif chance.random() < 0.02:
            now -= min(chance.randint(2, 200) * SECOND // 10, now - BEGIN)  # the clock was set back
        elif chance.random() < 0.03:
            recorded += 2 * LEASE  # a batch late by itself
