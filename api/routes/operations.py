"""How the platform fares: gateways, gaps, quarantine."""

from datetime import timedelta
from typing import Annotated, Any

import msgspec
from fastapi import Query

from api.access import CurrentViewer
from api.models.operations import (
    GapAnswer,
    GapPage,
    GatewayAnswer,
    GatewayList,
    PartitionAnswer,
    QuarantineAnswer,
    QuarantinePage,
)
from api.moments import From, To, not_yet
from api.paging import Cursor, Limit, pack, unpack
from api.routes.answering import router_of
from api.routes.devices import require_device
from api.routes.filters import EnterpriseCode, Text, require_enterprise
from api.state import CurrentState
from bus.subjects import PARTITIONS, partition_of
from muster.clock import to_datetime, to_us

router = router_of("operations")


class _Position(msgspec.Struct, array_like=True):
    """The last item given: its time in µs, and its number."""

    time: int
    id: int


@router.get("/gateways", summary="List gateways and whether they watch now")
async def list_gateways(viewer: CurrentViewer, state: CurrentState) -> GatewayList:
    """Every gateway, with how far each partition of its stream was stored."""
    async with state.database.reading(viewer.enterprise) as reading:
        rows = await reading.rows(
            "gateways", lease=timedelta(seconds=state.definition.lease_s), partitions=PARTITIONS
        )
    return GatewayList(items=[_gateway(row) for row in rows])


def _gateway(row: dict[str, Any]) -> GatewayAnswer:
    if row["watched_until"] is None:
        lease = "never"
    elif row["watching"]:
        lease = "watching"
    else:
        lease = "stopped" if row["stopped"] else "expired"
    names = [
        "id",
        "code",
        "name",
        "enterprise",
        "watched_until",
        "last_recorded",
        "lag_s",
        "epoch",
        "devices",
        "member_of",
        "pinned",
        "held_since",
        "keys",
    ]
    return GatewayAnswer(
        **{name: row[name] for name in names},
        lease=lease,
        partitions=[PartitionAnswer(**partition) for partition in row["partitions"]],
    )


@router.get("/gaps", summary="List what was never acquired or was lost")
async def list_gaps(
    viewer: CurrentViewer,
    state: CurrentState,
    frm: From = None,
    to: To = None,
    device: Annotated[
        int | None,
        Query(ge=1, le=2**31 - 1, description="Gaps that touch this device.", examples=[17]),
    ] = None,
    gateway: Annotated[
        Text | None, Query(max_length=200, description="Code of a gateway.", examples=["demo-1"])
    ] = None,
    reason: Annotated[
        Text | None, Query(max_length=200, description="Message key.", examples=["gateway-down"])
    ] = None,
    enterprise: EnterpriseCode = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> GapPage:
    """Gaps that touch the span, the newest first."""
    position = None if cursor is None else unpack(cursor, "gaps", _Position)
    async with state.database.reading(viewer.enterprise) as reading:
        not_yet("query.from", frm, reading.now)
        await require_enterprise(reading, enterprise)
        if device is not None:
            await require_device(reading, device)
        rows = await reading.rows(
            "gaps",
            **{"from": frm, "to": to},
            device=device,
            partition=None if device is None else partition_of(device),
            gateway=gateway,
            reason=reason,
            enterprise=enterprise,
            after_time=None if position is None else to_datetime(position.time),
            after_id=None if position is None else position.id,
            limit=limit + 1,
        )
    page = rows[:limit]
    following = None
    if len(rows) > limit:
        following = pack("gaps", _Position(to_us(page[-1]["from_time"]), page[-1]["id"]))
    return GapPage(items=[GapAnswer(**row) for row in page], next=following)


@router.get("/quarantine", summary="List messages of the stream that were refused")
async def list_quarantine(
    viewer: CurrentViewer, state: CurrentState, cursor: Cursor = None, limit: Limit = 100
) -> QuarantinePage:
    """Refused messages, the newest first. Those of no known enterprise are the operator's to see."""
    position = None if cursor is None else unpack(cursor, "quarantine", _Position)
    async with state.database.reading(viewer.enterprise) as reading:
        rows = await reading.rows(
            "quarantine",
            after_time=None if position is None else to_datetime(position.time),
            after_id=None if position is None else position.id,
            limit=limit + 1,
        )
    page = rows[:limit]
    following = None
    if len(rows) > limit:
        following = pack("quarantine", _Position(to_us(page[-1]["recorded_at"]), page[-1]["id"]))
    return QuarantinePage(items=[QuarantineAnswer(**row) for row in page], next=following)
