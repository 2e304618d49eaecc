"""The demo's enterprises and their areas, all invented; an area is a PLC or an edge computer with up to 9 machines."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

_ARC, _HEAT, _REACT, _SPIN, _MILL = (
    "sim-arc-furnace",
    "sim-heating-furnace",
    "sim-reactor",
    "sim-centrifuge",
    "sim-ball-mill",
)
_PUMP, _AIR, _PACK, _AGV, _ROBOT, _METER = (
    "sim-pump",
    "sim-compressor",
    "sim-packaging-line",
    "sim-agv",
    "sim-robot",
    "sim-meter",
)
MACHINES_PER_AREA = 9


Protocol = Literal["modbus", "mqtt", "opcua", "sparkplug"]


@dataclass(frozen=True, slots=True)
class Area:
    """A place of an enterprise and the kinds of its machines, in order.

    encrypted: its OPC UA server accepts only signed and encrypted sessions.
    """

    code: str
    name: str
    kinds: tuple[str, ...]
    protocol: Protocol = "modbus"
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Enterprise:
    """An invented enterprise."""

    code: str
    name: str
    industry: str
    areas: tuple[Area, ...]


_UTILITIES = Area("utilities", "公用工程站", (_AIR, _PUMP, _AIR, _PUMP, _PUMP, _AIR, _PUMP, _PUMP, _AIR))
_POWER = Area("power-room", "配电室", (_METER,) * 9, "mqtt")
_POWER_BY_NODE = Area("power-room", "配电室", (_METER,) * 9, "sparkplug")
_IN_LOGISTICS = (_AGV, _PACK, _AGV, _ROBOT, _AGV, _PACK, _AGV, _ROBOT, _AGV)
_LOGISTICS = Area("logistics", "仓储物流区", _IN_LOGISTICS)
_LOGISTICS_BY_NODE = Area("logistics", "仓储物流区", _IN_LOGISTICS, "sparkplug")

_METALLURGY = (
    Area("melt-shop", "熔炼车间", (_ARC, _HEAT, _PUMP, _ARC, _PUMP, _HEAT, _ROBOT, _PUMP, _ROBOT)),
    Area("grinding", "磨矿区", (_MILL, _PUMP, _MILL, _PUMP, _MILL, _PUMP, _MILL, _PUMP, _PUMP)),
    _UTILITIES,
    _LOGISTICS,
    _POWER_BY_NODE,
)
_CHEMICALS = (
    Area("synthesis", "合成车间", (_REACT, _PUMP, _REACT, _PUMP, _REACT, _REACT, _PUMP, _REACT, _PUMP)),
    Area("separation", "分离车间", (_SPIN, _PUMP, _SPIN, _REACT, _SPIN, _PUMP, _SPIN, _REACT, _PUMP)),
    _UTILITIES,
    Area("packing", "包装车间", (_PACK, _ROBOT, _PACK, _AGV, _PACK, _ROBOT, _PACK, _AGV, _ROBOT), "opcua"),
    _POWER,
)
_PHARMA = (
    Area("synthesis", "原料药车间", (_REACT, _SPIN, _REACT, _SPIN, _REACT, _PUMP, _REACT, _SPIN, _PUMP)),
    Area("refining", "精制车间", (_SPIN, _REACT, _PUMP, _SPIN, _REACT, _PUMP, _SPIN, _REACT, _PUMP)),
    _UTILITIES,
    Area(
        "packing",
        "制剂包装车间",
        (_PACK, _PACK, _ROBOT, _PACK, _AGV, _PACK, _ROBOT, _AGV, _PACK),
        "opcua",
        encrypted=True,
    ),
    _POWER,
)
_MATERIALS = (
    Area("raw-mill", "生料车间", (_MILL, _PUMP, _MILL, _PUMP, _MILL, _PUMP, _MILL, _PUMP, _MILL)),
    Area("burning", "烧成车间", (_HEAT, _PUMP, _HEAT, _PUMP, _HEAT, _PUMP, _HEAT, _PUMP, _PUMP)),
    _UTILITIES,
    _LOGISTICS_BY_NODE,
    _POWER,
)
_FOOD = (
    Area("processing", "加工车间", (_REACT, _PUMP, _SPIN, _PUMP, _REACT, _PUMP, _SPIN, _PUMP, _REACT)),
    Area("filling", "灌装车间", (_PACK, _ROBOT, _PACK, _ROBOT, _PACK, _ROBOT, _PACK, _ROBOT, _PACK)),
    _UTILITIES,
    _LOGISTICS_BY_NODE,
    _POWER,
)

ENTERPRISES = (
    Enterprise("yl-steel", "远联钢铁（演示）", "metallurgy", _METALLURGY),
    Enterprise("jc-pharma", "锦川制药（演示）", "pharma", _PHARMA),
    Enterprise("bh-chem", "百禾化工（演示）", "chemicals", _CHEMICALS),
    Enterprise("cl-copper", "赤岭铜业（演示）", "metallurgy", _METALLURGY),
    Enterprise("ls-cement", "陆山水泥（演示）", "building-materials", _MATERIALS),
    Enterprise("kn-bio", "康牧生物（演示）", "pharma", _PHARMA),
    Enterprise("hs-alloy", "红山合金（演示）", "metallurgy", _METALLURGY),
    Enterprise("ry-fertilizer", "润源化肥（演示）", "chemicals", _CHEMICALS),
    Enterprise("dq-dairy", "德沁乳业（演示）", "food", _FOOD),
    Enterprise("xl-zinc", "西岭锌冶（演示）", "metallurgy", _METALLURGY),
    Enterprise("tx-polymer", "天歆聚合（演示）", "chemicals", _CHEMICALS),
    Enterprise("my-herbal", "蒙颐中药（演示）", "pharma", _PHARMA),
)


def spoken(area: Area, protocols: Collection[str]) -> Protocol:
    """Return what an area speaks: its own protocol where that is one of `protocols`, else Modbus."""
    return area.protocol if area.protocol in protocols else "modbus"
