"""A structure of a server's own is read by its definition, and nothing is made of bytes that are not of it."""

import struct

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.opcua.config import Address, Place
from gateway.adapters.opcua.decode import decode
from gateway.adapters.opcua.structures import Structures, leaves
from muster.device import Tag
from muster.quality import Quality

INNER, OUTER, CHOICE = ua.NodeId(10, 2), ua.NodeId(20, 2), ua.NodeId(30, 2)


def field(name: str, kind: ua.NodeId | int, rank: int = -1, optional: bool = False) -> ua.StructureField:
    kind = ua.NodeId(kind) if isinstance(kind, int) else kind
    return ua.StructureField(Name=name, DataType=kind, ValueRank=rank, IsOptional=optional)


def definition(
    kind: ua.StructureType, encoding: ua.NodeId, *fields: ua.StructureField
) -> ua.StructureDefinition:
    return ua.StructureDefinition(DefaultEncodingId=encoding, StructureType=kind, Fields=list(fields))


class Server:
    """Answers reads of data types, as a session's `uaclient` does, and counts them."""

    def __init__(self, types: dict[ua.NodeId, ua.StructureDefinition], of: ua.NodeId) -> None:
        self.uaclient, self.types, self.of, self.asked = self, types, of, 0

    async def read(self, asked: ua.ReadParameters) -> list[ua.DataValue]:
        self.asked += 1
        given = []
        for one in asked.NodesToRead:
            is_type = one.AttributeId == ua.AttributeIds.DataType
            given.append(ua.DataValue(ua.Variant(self.of if is_type else self.types[one.NodeId])))
        return given


async def known(of: ua.NodeId, **types: ua.StructureDefinition) -> Structures:
    named = {"inner": INNER, "outer": OUTER, "choice": CHOICE}
    structures = Structures()
    server = Server({named[name]: one for name, one in types.items()}, of)
    await structures.learn(server, [ua.NodeId("x", 2)])  # type: ignore[arg-type]
    return structures


INNER_TYPE = definition(ua.StructureType.Structure, ua.NodeId(11, 2), field("Code", 6), field("Text", 12))


async def test_optional_fields_are_there_when_their_bit_is() -> None:
    kind = ua.StructureType.StructureWithOptionalFields
    outer = definition(
        kind,
        ua.NodeId(21, 2),
        field("A", 6, optional=True),
        field("B", INNER),
        field("C", 11, 1, optional=True),
    )
    structures = await known(OUTER, outer=outer, inner=INNER_TYPE)
    inner = struct.pack("<ii", 5, 2) + b"ok"
    without = ua.ExtensionObject(ua.NodeId(21, 2), struct.pack("<I", 0) + inner)
    assert structures.opened(without) == {"B": {"Code": 5, "Text": "ok"}}
    body = struct.pack("<I", 2) + inner + struct.pack("<idd", 2, 1.5, -2)
    opened = structures.opened(ua.ExtensionObject(ua.NodeId(21, 2), body))
    assert opened == {"B": {"Code": 5, "Text": "ok"}, "C": [1.5, -2.0]}
    assert leaves(opened, 1) == [("B.Code", 5), ("B.Text", "ok"), ("C.0", 1.5)]


async def test_a_union_holds_the_field_that_it_names() -> None:
    choice = definition(ua.StructureType.Union, ua.NodeId(31, 2), field("Number", 11), field("Inner", INNER))
    structures = await known(CHOICE, choice=choice, inner=INNER_TYPE)
    body = struct.pack("<Iii", 2, 7, -1)
    assert structures.opened(ua.ExtensionObject(ua.NodeId(31, 2), body)) == {
        "Inner": {"Code": 7, "Text": None}
    }
    assert structures.opened(ua.ExtensionObject(ua.NodeId(31, 2), bytes(4))) == {}
    assert structures.opened(ua.ExtensionObject(ua.NodeId(31, 2), struct.pack("<I", 9))) is None


async def test_a_structure_within_itself_is_not_understood_and_asked_for_once() -> None:
    outer = definition(ua.StructureType.Structure, ua.NodeId(21, 2), field("Again", OUTER, 1))
    structures = await known(OUTER, outer=outer)
    assert structures.opened(ua.ExtensionObject(ua.NodeId(21, 2), bytes(4))) is None


@given(body=st.binary(max_size=60))
async def test_no_bytes_break_it_and_only_whole_values_are_made(body: bytes) -> None:
    outer = definition(ua.StructureType.Structure, ua.NodeId(21, 2), field("A", INNER, 1), field("B", 11))
    structures = await known(OUTER, outer=outer, inner=INNER_TYPE)
    value = ua.ExtensionObject(ua.NodeId(21, 2), body)
    opened = structures.opened(value)
    place = Place(Tag(1, "t", "float64", {}), Address(node="i=1", index="B"))
    said = decode(ua.DataValue(ua.Variant(value, ua.VariantType.ExtensionObject)), place, structures)
    assert (opened is None) == (said.quality == Quality.UNDECODABLE)
    if opened is not None:
        size = 4 + 8 + sum(8 + len((one["Text"] or "").encode()) for one in opened["A"])
        assert size == len(body)


@pytest.mark.parametrize("structures", [None, Structures()])
def test_a_structure_that_is_not_known_is_undecodable(structures: Structures | None) -> None:
    value = ua.DataValue(
        ua.Variant(ua.ExtensionObject(ua.NodeId(99, 2), b"x"), ua.VariantType.ExtensionObject)
    )
    place = Place(Tag(1, "t", "float64", {}), Address(node="i=1", index="Status.Code"))
    assert decode(value, place, structures).quality == Quality.UNDECODABLE
