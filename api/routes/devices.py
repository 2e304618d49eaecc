"""Devices: the list, one device, its presence."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Path, Query, Request, Response

from api.access import CurrentViewer
from api.database import Reading
from api.models.devices import (
    AttestationAnswer,
    ClockAnswer,
    DeviceDetail,
    DevicePage,
    DeviceSummary,
    IdentityAnswer,
    PresenceAnswer,
    PresenceInterval,
    TagAnswer,
)
from api.models.words import ClassWord, OriginWord, StateWord
from api.moments import From, KnownAt, To, asked, span
from api.paging import Cursor, Limit, pack, unpack
from api.problems import not_found
from api.routes.answering import router_of, tagged
from api.routes.filters import EnterpriseCode, Industry, Text, require_enterprise
from api.state import CurrentState, State
from evidence.counting import history, instant
from evidence.counting.devices import DeviceAt
from evidence.counting.questions import Filter
from muster.device import Origin
from muster.presence import State as Presence

LONGEST = timedelta(days=92)
LISTED = "devices"
_COPIED = (
    "device_model",
    "equipment",
    "consumes_energy",
    "report_mode",
    "interval_s",
    "shift_pattern",
    "manufacturer",
    "model",
    "serial_number",
    "commissioned_on",
    "ledger_origin",
    "identity_origin",
    "endpoint",
    "version",
    "created_at",
    "retired_at",
)
_SECRETS = ("password", "secret", "token", "private", "passphrase")
router = router_of("devices", "/devices")

DeviceNumber = Annotated[int, Path(ge=1, le=2**31 - 1, description="The device's number.", examples=[17])]
Word = Annotated[Text | None, Query(max_length=200)]


@router.get("", summary="List devices with their presence now")
async def list_devices(
    viewer: CurrentViewer,
    state: CurrentState,
    enterprise: EnterpriseCode = None,
    site: Annotated[Word, Query(description="Code of a site.", examples=["furnace-hall"])] = None,
    gateway: Annotated[Word, Query(description="Code of a gateway.", examples=["demo-1"])] = None,
    protocol: Annotated[
        Word, Query(description="A protocol, or a protocol family.", examples=["Modbus"])
    ] = None,
    device_class: Annotated[
        ClassWord | None, Query(description="One of the guideline's classes.", examples=["operating"])
    ] = None,
    industry: Industry = None,
    presence: Annotated[
        list[StateWord] | None,
        Query(alias="state", description="One or more states.", examples=[["offline", "linked"]]),
    ] = None,
    origin: Annotated[
        OriginWord | None, Query(description="The most pessimistic statement.", examples=["simulated"])
    ] = None,
    q: Annotated[Word, Query(description="Part of a code, name or serial number.", examples=["泵"])] = None,
    retired: Annotated[bool, Query(description="Retired devices instead.", examples=[False])] = False,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> DevicePage:
    """Devices by number. Retired ones are `unobserved`."""
    after = 0 if cursor is None else unpack(cursor, LISTED, int)
    async with state.database.reading(viewer.enterprise) as reading:
        await require_enterprise(reading, enterprise)
        seen: dict[int, DeviceAt] = {}
        chosen: list[int] | None = None
        if presence is not None and not retired:
            wanted = {Presence[word.upper()] for word in presence}
            seen = {d.device: d for d in await _now(reading, state, None) if d.state in wanted}
            chosen = sorted(seen)
        rows = await reading.rows(
            "device_page",
            after=after,
            devices=chosen,
            enterprise=enterprise,
            site=site,
            gateway=gateway,
            protocol=None if protocol is None else _protocols(state, protocol),
            device_class=device_class,
            industry=industry,
            q=None if q is None else f"%{_escaped(q)}%",
            retired=retired,
            origin=origin,
            limit=limit + 1,
        )
        page = rows[:limit]
        if chosen is None and not retired:
            seen = {d.device: d for d in await _now(reading, state, [row["id"] for row in page])}
    return DevicePage(
        items=[DeviceSummary(**_summary(row, seen.get(row["id"]), state)) for row in page],
        next=pack(LISTED, page[-1]["id"]) if len(rows) > limit else None,
    )


@router.get("/{device}", summary="Describe a device", response_model=DeviceDetail)
async def get_device(
    device: DeviceNumber, viewer: CurrentViewer, state: CurrentState, request: Request
) -> Response:
    """Everything registered about a device, what it says it is, and its presence now. It has an ETag."""
    async with state.database.reading(viewer.enterprise) as reading:
        row = await require_device(reading, device)
        seen = await _now(reading, state, [device])
        tags = await reading.rows("tags", device=device)
        attestations = await reading.rows("attestations", device=device)
    identity = None
    if row["observed_at"] is not None:
        identity = IdentityAnswer(
            observed_at=row["observed_at"],
            recorded_at=row["recorded_at"],
            origin=row["identity_origin"],
            evidence=row["evidence"],
        )
    clock = None
    if row["measured_at"] is not None:
        clock = ClockAnswer(**{name: row[name] for name in ("measured_at", "offset_s", "accuracy_s")})
    return tagged(
        request,
        DeviceDetail(
            **_summary(row, seen[0] if seen else None, state),
            **{name: row[name] for name in _COPIED},
            window_s=state.definition.window_us(row["interval_s"]) / 1e6,
            identity=identity,
            clock=clock,
            attestations=[AttestationAnswer(**each) for each in attestations],
            connection=without_secrets(row["connection"]),
            tags=[TagAnswer(**each) for each in tags],
        ),
    )


@router.get("/{device}/presence", summary="Tell a device's presence over time")
async def get_presence(
    device: DeviceNumber,
    viewer: CurrentViewer,
    state: CurrentState,
    frm: From = None,
    to: To = None,
    as_known_at: KnownAt = None,
) -> PresenceAnswer:
    """Intervals without holes from `from` (a day ago when absent) to `to`, as known at `as_known_at`."""
    async with state.database.reading(viewer.enterprise) as reading:
        await require_device(reading, device)
        start, end = span(frm, to, reading.now, timedelta(days=1), LONGEST)
        moment = asked(end, as_known_at, reading.now)
        found = await history.presence(reading.connection, device, start, end, moment.known, state.definition)
    return PresenceAnswer(
        device=device,
        from_time=start,
        to_time=end,
        as_known_at=moment.known,
        intervals=[
            PresenceInterval(
                state=interval.state.word,
                reason=interval.reason,
                from_time=interval.start,
                to_time=interval.end,
                recorded_at=interval.recorded,
            )
            for interval in found
        ],
    )


async def require_device(reading: Reading, device: int) -> dict[str, Any]:
    """Return a device's row.

    Raises:
        RequestError: 404, there is no such device that the viewer may see.
    """
    row = await reading.row("device", device=device)
    if row is None:
        raise not_found(f"device {device}")
    return row


async def _now(reading: Reading, state: State, devices: Sequence[int] | None) -> Sequence[DeviceAt]:
    return await instant.states(
        reading.connection, reading.now, reading.now, state.definition, Filter(devices=devices)
    )


def _summary(row: dict[str, Any], seen: DeviceAt | None, state: State) -> dict[str, Any]:
    """Return what a list tells of a device; one that was not seen is retired."""
    said = row["identity_origin"]
    origin = Origin.worst(Origin(row["ledger_origin"]), None if said is None else Origin(said))
    names = [
        "id",
        "code",
        "name",
        "enterprise",
        "site",
        "gateway",
        "device_class",
        "industry",
        "kind",
        "protocol",
    ]
    return {
        **{name: row[name] for name in names},
        "family": state.families.get(row["protocol"], row["protocol"]),
        "origin": origin.value,
        "state": "unobserved" if seen is None else seen.state.word,
        "reason": "retired" if seen is None else seen.reason,
        "since": row["retired_at"] if seen is None else seen.since,
        "retired": row["retired_at"] is not None,
    }


def _protocols(state: State, word: str) -> list[str]:
    """Return the protocols that a word means: itself, and every one of the family of this name."""
    return [word, *(name for name, family in state.families.items() if family == word)]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def without_secrets(connection: Any) -> Any:
    """Return a connection as registered, what its names call secret left out."""
    if isinstance(connection, dict):
        return {
            name: "…" if any(word in name.lower() for word in _SECRETS) else without_secrets(value)
            for name, value in connection.items()
        }
    if isinstance(connection, list):
        return [without_secrets(value) for value in connection]
    return connection
