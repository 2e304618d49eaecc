"""Which registers are asked for together, and how a refused block is taken apart."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.modbus.blocks import Block, split
from gateway.adapters.modbus.config import WIDTHS
from tests.unit.modbus.documents import blocks_of, tag

KINDS = sorted(kind for kind in WIDTHS if kind not in ("string", "bit", "bool"))


def reads(blocks: list[Block]) -> list[tuple[str, int, int]]:
    return [(block.table, block.start, block.count) for block in blocks]


tags = st.lists(
    st.tuples(st.sampled_from(["holding", "input"]), st.integers(0, 600), st.sampled_from(KINDS)),
    min_size=1,
    max_size=40,
)


@given(tags, st.integers(4, 125), st.integers(0, 124), st.lists(st.integers(0, 600), max_size=5))
def test_every_tag_is_read_once_whole_and_within_all_limits(
    wanted: list[tuple[str, int, str]], most: int, gap: int, holes: list[int]
) -> None:
    free = [
        hole
        for hole in holes
        if not any(table == "holding" and at <= hole < at + WIDTHS[kind] for table, at, kind in wanted)
    ]
    blocks = blocks_of(
        *(tag(n, kind, table=table, register=at) for n, (table, at, kind) in enumerate(wanted, 1)),
        limits={
            "max_registers": most,
            "max_gap": gap,
            "holes": [{"table": "holding", "start": hole, "length": 1} for hole in free],
        },
    )
    assert sorted(place.tag.position for block in blocks for place in block.places) == [
        *range(1, len(wanted) + 1)
    ]
    for block in blocks:
        assert block.count <= most
        used = set()
        for place in block.places:
            assert block.start <= place.start
            assert place.start + place.width <= block.start + block.count
            used |= set(range(place.start, place.start + place.width))
        unused = sorted(set(range(block.start, block.start + block.count)) - used)
        assert not (block.table == "holding" and set(unused) & set(free))
        run = 0
        for register in range(block.start, block.start + block.count):
            run = 0 if register in used else run + 1
            assert run <= gap


@given(tags, st.integers(4, 125))
def test_without_holes_and_gap_limits_no_plan_has_fewer_blocks(
    wanted: list[tuple[str, int, str]], most: int
) -> None:
    wanted = [(table, 10 * at, "uint16") for table, at, _ in wanted]
    blocks = blocks_of(
        *(tag(n, kind, table=table, register=at) for n, (table, at, kind) in enumerate(wanted, 1)),
        limits={"max_registers": most, "max_gap": 124},
    )
    for table in ("holding", "input"):
        left = sorted({at for where, at, _ in wanted if where == table})
        needed = 0
        while left:
            needed += 1
            left = [at for at in left if at > left[0] + most - 1]
        assert sum(block.table == table for block in blocks) == needed


def test_neighbours_are_one_read_and_a_far_tag_is_another() -> None:
    blocks = blocks_of(*(tag(n, "float32", register=at) for n, at in enumerate((0, 2, 10, 500), 1)))
    assert reads(blocks) == [("holding", 0, 12), ("holding", 500, 2)]


def test_coils_and_discrete_inputs_are_planned_in_bits() -> None:
    coils: list[dict[str, Any]] = [{"table": "coil", "register": at} for at in (0, 1, 9)]
    blocks = blocks_of(
        *(tag(n, "bool", **address) for n, address in enumerate(coils, 1)),
        tag(9, "bool", table="discrete", register=4000),
        limits={"max_bits": 8, "max_gap": 124},
    )
    assert reads(blocks) == [("coil", 0, 2), ("coil", 9, 1), ("discrete", 4000, 1)]


def test_a_window_moves_tags_and_holes_alike() -> None:
    blocks = blocks_of(
        tag(1, "uint16", register=0),
        tag(2, "uint16", register=5),
        window={"start": 1000, "length": 50},
        limits={"holes": [{"table": "holding", "start": 2, "length": 1}]},
    )
    assert reads(blocks) == [("holding", 1000, 1), ("holding", 1005, 1)]


def test_a_refused_block_loses_its_gaps_first_and_is_halved_then() -> None:
    (block,) = blocks_of(*(tag(n, "uint16", register=at) for n, at in enumerate((0, 1, 2, 3, 10), 1)))
    pieces = split(block)
    assert reads(pieces) == [("holding", 0, 4), ("holding", 10, 1)]
    assert reads(split(pieces[0])) == [("holding", 0, 2), ("holding", 2, 2)]
    assert split(pieces[1]) == [pieces[1]]


@given(tags)
def test_splitting_again_and_again_ends_with_a_block_for_each_tag(wanted: list[tuple[str, int, str]]) -> None:
    blocks = blocks_of(
        *(tag(n, kind, table=table, register=at) for n, (table, at, kind) in enumerate(wanted, 1))
    )
    while any(len(split(block)) > 1 for block in blocks):
        blocks = [piece for block in blocks for piece in split(block)]
    assert sorted(block.places[0].tag.position for block in blocks) == [*range(1, len(wanted) + 1)]
    for block in blocks:
        assert (block.start, block.count) == (block.places[0].start, block.places[0].width)
