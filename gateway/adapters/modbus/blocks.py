"""Which registers are asked for together: sparse tags gathered into as few reads as a device's limits allow.

Pure. A block that a device refuses is split (`split`): first at the gaps that were read along, then in halves, so
that one wrong address ends alone in its block and its neighbours are read on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.adapters.modbus.config import BIT_TABLES, Limits, Place, Table


@dataclass(frozen=True, slots=True)
class Block:
    """One read: `count` registers (or bits) of `table` from `start` on, which hold `places`, in order of start."""

    table: Table
    start: int
    count: int
    places: tuple[Place, ...]

    @property
    def size(self) -> int:
        """Bytes of values in the answer."""
        return (self.count + 7) // 8 if self.table in BIT_TABLES else 2 * self.count


def plan(places: Sequence[Place], limits: Limits, window_start: int = 0) -> list[Block]:
    """Return the blocks that read all of `places`, by table and register.

    Greedy from the lowest register on, which is optimal for covering a line with intervals of bounded length. A
    block never spans a hole, never more than `limits.max_gap` unused registers in a row, never cuts a value.
    Holes are counted like tag addresses: from `window_start`.
    """
    blocks: list[Block] = []
    for table in ("holding", "input", "coil", "discrete"):
        chosen = sorted((p for p in places if p.address.table == table), key=lambda p: (p.start, p.width))
        most = limits.max_bits if table in BIT_TABLES else limits.max_registers
        holes = [h.start + window_start for h in limits.holes if h.table == table]
        run: list[Place] = []
        end = 0
        for place in chosen:
            gap = place.start - end
            if run and (
                gap > limits.max_gap
                or max(end, place.start + place.width) - run[0].start > most
                or (gap > 0 and any(end <= hole < place.start for hole in holes))
            ):
                blocks.append(_block(run))
                run = []
            end = max(end, place.start + place.width) if run else place.start + place.width
            run.append(place)
        if run:
            blocks.append(_block(run))
    return blocks


def split(block: Block) -> list[Block]:
    """Return smaller blocks that read the same places; `[block]` when it cannot be split."""
    runs: list[list[Place]] = [[block.places[0]]]
    end = block.places[0].start + block.places[0].width
    for place in block.places[1:]:
        if place.start > end:
            runs.append([])
        runs[-1].append(place)
        end = max(end, place.start + place.width)
    if len(runs) == 1 and len(block.places) > 1:
        middle = len(block.places) // 2
        runs = [list(block.places[:middle]), list(block.places[middle:])]
    return [_block(run) for run in runs]


def _block(places: Sequence[Place]) -> Block:
    start = places[0].start
    end = max(place.start + place.width for place in places)
    return Block(places[0].address.table, start, end - start, tuple(places))
