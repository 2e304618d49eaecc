"""Devices of several gateway processes: evenly shared, behind one connection together, moved only with need."""

import random

import pytest

from services.ledger.seats import Member, Seat, plan


def living(*terms: int, settled: bool = True, released: tuple[int, ...] = ()) -> dict[int, Member]:
    return {n: Member(n, term, settled, released) for n, term in enumerate(terms, 1) if term}


def seats(count: int, per_bundle: int = 1) -> list[Seat]:
    return [Seat(device, str(device // per_bundle)) for device in range(count)]


def given(before: list[Seat], give: dict[int, int], members: dict[int, Member]) -> list[Seat]:
    return [
        Seat(s.device, s.bundle, s.pinned_to, give[s.device], members[give[s.device]].term)
        if s.device in give
        else s
        for s in before
    ]


def test_new_devices_are_shared_evenly_once_it_is_known_who_lives() -> None:
    members = living(10, 20, 30)
    assert not plan(seats(60, 5), members, complete=False).give
    give = plan(seats(60, 5), members, complete=True).give
    assert [list(give.values()).count(number) for number in (1, 2, 3)] == [20, 20, 20]
    assert all(give[device] == give[device // 5 * 5] for device in give)


def test_what_a_dead_process_held_goes_to_the_others_and_nothing_else_moves() -> None:
    members = living(10, 20, 30)
    held = given(seats(60, 5), plan(seats(60, 5), members, complete=True).give, members)
    del members[2]
    found = plan(held, members, complete=True)
    assert set(found.give) == {seat.device for seat in held if seat.held_by == 2}
    assert not found.release
    counts = [list(found.give.values()).count(number) for number in (1, 3)]
    assert sorted(counts) == [10, 10]


def test_a_process_that_started_again_gets_back_what_it_had() -> None:
    members = living(10, 20)
    held = given(seats(20), plan(seats(20), members, complete=True).give, members)
    again = living(11, 20, settled=False)
    found = plan(held, again, complete=True)
    assert found.give == {seat.device: 1 for seat in held if seat.held_by == 1}


def test_a_process_that_returns_gets_its_part_only_once_all_have_lived_for_a_while() -> None:
    alone = living(10)
    held = given(seats(20, 2), plan(seats(20, 2), alone, complete=True).give, alone)
    assert not plan(held, living(10, 20, settled=False), complete=True).release
    for _ in range(5):
        found = plan(held, living(10, 20), complete=True)
        assert not found.give
        let_go = tuple(found.release[1])
        assert len(let_go) == 2, "a few at a time"
        members = {1: Member(1, 10, True, let_go), 2: Member(2, 20, True)}
        after = plan(held, members, complete=True)
        assert after.give == dict.fromkeys(let_go, 2)
        held = given(held, after.give, members)
    assert [seat.held_by for seat in held].count(2) == 10
    assert plan(held, living(10, 20), complete=True) == plan([], living(10, 20), complete=True)


def test_a_pinned_device_waits_for_its_process_and_leaves_another_only_when_let_go() -> None:
    pinned = Seat(1, "line", pinned_to=2)
    assert plan([pinned], living(10), complete=True).give == {1: 2}
    elsewhere = Seat(1, "line", pinned_to=2, held_by=1, term=10)
    assert plan([elsewhere], living(10, 20), complete=True).release == {1: [1]}
    assert plan([elsewhere], living(10, 20, released=(1,)), complete=True).give == {1: 2}
    seated = Seat(1, "line", pinned_to=2, held_by=2, term=0)
    assert plan([seated], living(10), complete=True) == plan([], living(10), complete=True)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_every_device_comes_to_rest_with_one_that_lives(seed: int) -> None:
    chance = random.Random(seed)
    held = [Seat(device, str(chance.randrange(12))) for device in range(chance.randrange(1, 80))]
    term = 100
    members = {number: Member(number, number, True) for number in range(1, chance.randrange(2, 6))}
    for _ in range(10):
        term += 1
        if len(members) > 1 and chance.random() < 0.5:
            del members[chance.choice(list(members))]
        else:
            number = chance.randrange(1, 6)
            members[number] = Member(number, term, True)
        for _ in range(80):
            found = plan(held, members, complete=True)
            assert not set(found.give) & {device for some in found.release.values() for device in some}
            held = given(held, found.give, members)
            freed = {n: Member(n, m.term, True, found.release.get(n, ())) for n, m in members.items()}
            held = given(held, plan(held, freed, complete=True).give, members)
        assert {seat.held_by for seat in held} <= set(members)
        assert plan(held, members, complete=True) == plan([], members, complete=True)
