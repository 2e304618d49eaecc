"""The counting rules as slowly and plainly as they can be written, over the batches of a `World`.

It shares no code with `evidence.counting`: it knows batches, not watch rows, and asks about one instant.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from muster.device import Origin
from muster.presence import State
from tests.integration.evidence.world import LEASE, PARTITIONS, Batch, Page, Row, World


@dataclass(frozen=True)
class Answer:
    """What is known of one device of the frame."""

    state: State
    reason: str
    origin: Origin
    page: Page

    def counts(self, scope: str) -> bool:
        real = scope == "rehearsal" or self.origin == Origin.REAL
        return self.state == State.CONNECTED and self.page.consumes_energy and real


def page_at(world: World, device: int, at: int) -> Page | None:
    pages = [page for page in world.ledger[device] if page.at <= at]
    return pages[-1] if pages and not pages[-1].retired else None


def holds(row: Row, at: int, known: int) -> bool:
    """Whether the batches of one row, as far as they were recorded at `known`, say that `at` was watched."""
    heard = [batch for batch in row.batches if batch.recorded <= known]
    if not heard:
        return False
    if any(batch.start <= at <= batch.end for batch in heard):
        return True
    last = heard[-1]
    believed = row.live and not last.stopping and known <= last.recorded + LEASE
    return believed and at >= heard[0].start


def span_at(world: World, gateway: int, partition: int, at: int, known: int) -> int | None:
    rows = [row for row in world.rows[gateway, partition] if holds(row, at, known)]
    rows.sort(key=lambda row: (row.batches[0].start, row.batches[0].recorded, row.id))
    return rows[-1].span if rows else None


def answer(world: World, device: int, at: int, known: int) -> Answer | None:
    """Return what is known of the device at `at` as of `known`, or None when it is not in the frame."""
    page = page_at(world, device, at)
    if page is None:
        return None
    said = [s for s in world.said[device] if s.at <= at and s.recorded <= known]
    said.sort(key=lambda s: (s.at, s.recorded))
    origin = Origin.worst(page.origin, said[-1].origin if said else None)
    if page.gateway is None:
        return Answer(State.UNOBSERVED, "no-gateway", origin, page)
    span = span_at(world, page.gateway, device % PARTITIONS, at, known)
    if span is None:
        return Answer(State.UNOBSERVED, "not-watched", origin, page)
    seen = [t for t in world.transitions[device] if t.span == span and t.at <= at and t.recorded <= known]
    if not seen:
        return Answer(State.UNOBSERVED, "not-yet-observed", origin, page)
    last = max(seen, key=lambda t: t.at)
    return Answer(last.state, last.reason, origin, page)


def everything(world: World, at: int, known: int) -> dict[int, Answer]:
    answers = {device: answer(world, device, at, known) for device in world.ledger}
    return {device: found for device, found in answers.items() if found is not None}


def instants(world: World, start: int, end: int, known: int) -> list[int]:
    """Return every instant of [start, end) at which any answer may change, `start` first."""
    found = {start}
    for pages in world.ledger.values():
        found |= {page.at for page in pages}
    for statements in world.said.values():
        found |= {said.at for said in statements}
    for transitions in world.transitions.values():
        found |= {transition.at for transition in transitions}
    for batch in _batches(world):
        found |= {batch.start, batch.end + 1}
    found |= {known + 1}
    return sorted(instant for instant in found if start <= instant < end)


def _batches(world: World) -> Iterator[Batch]:
    for rows in world.rows.values():
        for row in rows:
            yield from row.batches
