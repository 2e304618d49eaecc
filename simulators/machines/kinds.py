"""Every kind of machine the fleet can have, by code."""

from simulators.machines.furnaces import ARC_FURNACE, HEATING_FURNACE
from simulators.machines.handling import AGV, PACKAGING_LINE, ROBOT
from simulators.machines.meters import METER
from simulators.machines.mills import BALL_MILL
from simulators.machines.points import Kind
from simulators.machines.rotating import COMPRESSOR, PUMP
from simulators.machines.vessels import CENTRIFUGE, REACTOR

KINDS: dict[str, Kind] = {
    kind.code: kind
    for kind in (
        ARC_FURNACE,
        HEATING_FURNACE,
        REACTOR,
        CENTRIFUGE,
        BALL_MILL,
        PUMP,
        COMPRESSOR,
        PACKAGING_LINE,
        AGV,
        ROBOT,
        METER,
    )
}
