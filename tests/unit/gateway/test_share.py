"""A process works on what it holds: pinned devices always, the others under exactly the lease they were given for."""

from typing import Any

import msgspec

from gateway.share import Share
from muster.clock import ManualClock
from muster.events import Event


class Held:
    def __init__(self) -> None:
        self.term: int | None = 7
        self.valid = True


class Bench:
    def __init__(self, *, shared: bool = True) -> None:
        self.lease = Held()
        self.clock = ManualClock()
        self.working: set[int] = set()
        self.said: list[Event] = []
        self.share = Share(self.lease if shared else None, self.apply, self.said.append, self.clock)

    async def apply(self, wanted: dict[int, bytes]) -> None:
        self.working = set(wanted)


def document(version: int, **held: Any) -> bytes:
    return msgspec.json.encode({"version": version, "name": "a pump", **held})


async def test_a_gateway_of_one_process_works_on_all_that_is_its_own() -> None:
    bench = Bench(shared=False)
    await bench.share.take({1: document(1), 2: document(1, term=7), 3: b"not a document"})
    assert bench.working == {1, 3}
    assert not bench.share.closed()


async def test_a_device_is_worked_on_under_the_lease_it_was_given_for_and_no_other() -> None:
    bench = Bench()
    await bench.share.take(
        {1: document(1), 2: document(1, term=6), 3: document(1, term=7), 4: document(1, term=0)}
    )
    assert bench.working == {3, 4}


async def test_nothing_may_be_asked_from_the_instant_a_lease_ran_out_until_its_devices_are_put_down() -> None:
    bench = Bench()
    await bench.share.take({3: document(1, term=7), 4: document(1, term=0)})
    assert not bench.share.closed()
    bench.lease.valid = False
    assert bench.share.closed()
    await bench.share.look()
    assert bench.working == {4}
    assert not bench.share.closed(), "the pinned device goes on"


async def test_a_lease_that_comes_back_unbroken_goes_on_with_its_devices_and_lists_the_gap() -> None:
    bench = Bench()
    await bench.share.take({3: document(1, term=7)})
    bench.lease.valid = False
    await bench.share.look()
    since = bench.clock.now_us()
    bench.clock.advance(5)
    bench.lease.valid = True
    await bench.share.look()
    assert bench.working == {3}
    (gap,) = bench.said
    assert (gap.device, gap.at, gap.until, gap.reason) == (3, since, bench.clock.now_us(), "lease-lost")


async def test_a_process_that_was_overtaken_leaves_its_old_documents_alone() -> None:
    bench = Bench()
    await bench.share.take({3: document(1, term=7)})
    bench.lease.valid = False
    await bench.share.look()
    bench.lease.valid, bench.lease.term = True, 8
    await bench.share.look()
    assert bench.working == set()
    await bench.share.take({3: document(2, term=8, free_since=1_000)})
    assert bench.working == {3}
    assert [(gap.at, gap.reason) for gap in bench.said] == [(1_000, "handed-over")]


async def test_a_device_that_was_let_go_comes_back_with_a_newer_document_only() -> None:
    bench = Bench()
    documents = {3: document(4, term=7), 5: document(4, term=7)}
    await bench.share.take(documents)
    await bench.share.release([3, 99])
    assert bench.working == {5}
    assert list(bench.share.released()) == [3]
    await bench.share.take(dict(documents))
    assert bench.working == {5}
    await bench.share.take({**documents, 3: document(5, term=7)})
    assert bench.working == {3, 5}
    assert list(bench.share.released()) == []


async def test_the_gap_before_a_device_is_said_once_for_each_time_it_is_given() -> None:
    bench = Bench()
    await bench.share.take({3: document(1, term=7, free_since=10), 4: document(1, term=0, free_since=20)})
    await bench.share.take({3: document(2, term=7, free_since=10), 4: document(1, term=0, free_since=20)})
    assert sorted(gap.at for gap in bench.said) == [10, 20]
    bench.lease.term = 8
    await bench.share.take({3: document(3, term=8, free_since=30), 4: document(1, term=0, free_since=20)})
    assert [gap.at for gap in bench.said][2:] == [30]
