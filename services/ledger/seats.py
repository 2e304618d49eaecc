"""Who of several gateway processes is to hold which device: a pure function of who lives and who holds what.

Devices behind one connection (a line, a server, a broker) stay together, because equipment often bears one client only.
Nothing moves without need: a living holder keeps what it has, until all have lived for a while and the loads differ by
more than the smallest bundle could even out.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

LOTS = 20
"""A level share is reached in about so many steps, so that few devices are between two processes at once."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A device of a shared gateway. bundle: equal for devices behind one connection; term: of the holder's lease."""

    device: int
    bundle: str
    pinned_to: int | None = None
    held_by: int | None = None
    term: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A process that lives: its lease's term, what it let go, and whether it has lived for a while."""

    gateway: int
    term: int
    settled: bool = False
    released: Collection[int] = ()


@dataclass(slots=True)
class Plan:
    """give: the new holder of devices that nobody polls; release: what a living holder must let go first."""

    give: dict[int, int] = field(default_factory=dict)
    release: dict[int, list[int]] = field(default_factory=dict)


def plan(seats: Sequence[Seat], members: Mapping[int, Member], *, complete: bool) -> Plan:
    """Return what is to change.

    members: those that live, by number. complete: of every other member it is known that it does not live; until then
    a device whose holder may still come back waits.
    """
    found = Plan()
    if not members:
        return _pins(seats, members, found)
    _pins(seats, members, found)
    free = [seat for seat in seats if seat.pinned_to is None]
    load = dict.fromkeys(members, 0)
    home: dict[str, int] = {}
    orphans: dict[str, list[Seat]] = defaultdict(list)
    for seat in seats:
        if seat.pinned_to in load:
            load[seat.pinned_to] += 1
    for seat in free:
        if _held(seat, members):
            assert seat.held_by is not None
            load[seat.held_by] += 1
            home[seat.bundle] = seat.held_by
        else:
            orphans[seat.bundle].append(seat)
    for bundle, group in sorted(orphans.items(), key=lambda item: (-len(item[1]), item[0])):
        holder = home.get(bundle) or _returned(group, members)
        if holder is None:
            if not complete:
                continue
            holder = min(load, key=lambda number: (load[number], number))
        for seat in group:
            found.give[seat.device] = holder
        load[holder] += len(group)
    if not orphans and complete and all(member.settled for member in members.values()):
        _level(free, load, found)
    return found


def _held(seat: Seat, members: Mapping[int, Member]) -> bool:
    member = members.get(seat.held_by or 0)
    return member is not None and member.term == seat.term and seat.device not in member.released


def _returned(group: Iterable[Seat], members: Mapping[int, Member]) -> int | None:
    """Return the member that held these before it started again, if it lives."""
    for seat in group:
        member = members.get(seat.held_by or 0)
        if member is not None and seat.device not in member.released:
            return member.gateway
    return None


def _pins(seats: Iterable[Seat], members: Mapping[int, Member], found: Plan) -> Plan:
    for seat in seats:
        if seat.pinned_to is None or (seat.held_by == seat.pinned_to and seat.term == 0):
            continue
        if _held(seat, members) and seat.held_by is not None and seat.held_by != seat.pinned_to:
            found.release.setdefault(seat.held_by, []).append(seat.device)
        else:
            found.give[seat.device] = seat.pinned_to
    return found


def _level(free: Iterable[Seat], load: dict[int, int], found: Plan) -> None:
    """Move bundles from the fullest to the emptiest for as long as that makes them more alike, a few at a time."""
    lot = max(1, sum(load.values()) // LOTS)
    bundles: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for seat in free:
        if seat.held_by is not None:
            bundles[seat.held_by][seat.bundle].append(seat.device)
    while sum(map(len, found.release.values())) < lot:
        most = max(load, key=lambda number: (load[number], -number))
        least = min(load, key=lambda number: (load[number], number))
        apart = load[most] - load[least]
        fitting = [
            (abs(apart - 2 * len(held)), name) for name, held in bundles[most].items() if len(held) < apart
        ]
        if not fitting or min(fitting)[0] >= apart - 1:
            return
        devices = bundles[most].pop(min(fitting)[1])
        found.release.setdefault(most, []).extend(devices)
        load[most] -= len(devices)
        load[least] += len(devices)
