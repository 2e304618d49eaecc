"""What a device sent: the latest of every tag, readings over time, and how its gateway fares with it."""

import math
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from fastapi import Query

from api.access import CurrentViewer
from api.models.devices import DiagnosticsAnswer
from api.models.readings import LatestAnswer, LatestReading, ReadingPage
from api.models.words import Resolution
from api.moments import From, To, span
from api.paging import Cursor, pack, unpack
from api.problems import not_found
from api.routes.answering import router_of
from api.routes.devices import DeviceNumber, require_device
from api.routes.filters import Text
from api.state import CurrentState
from bus import subjects
from muster.clock import to_datetime, to_us
from muster.errors import RequestError, Unavailable

LISTED = "readings"
_USUAL = {"raw": timedelta(minutes=10), "minute": timedelta(hours=6), "hour": timedelta(days=7)}
_LONGEST = {"raw": timedelta(days=31), "minute": timedelta(days=366), "hour": timedelta(days=3660)}
_ROLLUPS = {"minute": "rollup_minutes", "hour": "rollup_hours"}
router = router_of("readings", "/devices/{device}")


class _Position(msgspec.Struct, array_like=True):
    """The last reading given: source and receive time, µs."""

    time: int
    received: int


@router.get("/latest", summary="Give the newest reading of every tag")
async def get_latest(device: DeviceNumber, viewer: CurrentViewer, state: CurrentState) -> LatestAnswer:
    """The newest reading of each tag in use, with its age; of the last day for numbers."""
    async with state.database.reading(viewer.enterprise) as reading:
        await require_device(reading, device)
        rows = await reading.rows("latest", device=device)
    return LatestAnswer(device=device, at=reading.now, readings=[_latest(row, reading.now) for row in rows])


@router.get("/readings", summary="Give the readings of a tag over time")
async def get_readings(
    device: DeviceNumber,
    viewer: CurrentViewer,
    state: CurrentState,
    tag: Annotated[Text, Query(max_length=200, description="Name of a tag.", examples=["speed"])],
    frm: From = None,
    to: To = None,
    resolution: Annotated[
        Resolution, Query(description="Readings as stored, or rolled up.", examples=["raw"])
    ] = "raw",
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="Readings on a page.", examples=[1000])] = 1000,
) -> ReadingPage:
    """In ascending source time from `from` (minutes, hours or days ago, by resolution) before `to`."""
    position = None if cursor is None else unpack(cursor, f"{LISTED} {resolution}", _Position)
    after_time = None if position is None else to_datetime(position.time)
    after_received = None if position is None else to_datetime(position.received)
    async with state.database.reading(viewer.enterprise) as reading:
        await require_device(reading, device)
        named = [row for row in await reading.rows("tags", device=device) if row["name"] == tag]
        if not named:
            raise not_found(f"tag {tag} of device {device}")
        start, end = span(frm, to, reading.now, _USUAL[resolution], _LONGEST[resolution])
        asked: dict[str, Any] = {"device": device, "tag": tag, "from": start, "to": end, "limit": limit + 1}
        if resolution == "raw":
            rows = await reading.rows(
                "readings", **asked, after_time=after_time, after_received=after_received
            )
        else:
            rows = await reading.rows(_ROLLUPS[resolution], **asked, after_time=after_time)
    page = rows[:limit]
    return ReadingPage(
        device=device,
        tag=tag,
        unit=named[-1]["unit"],
        resolution=resolution,
        from_time=start,
        to_time=end,
        next=_following(page, resolution) if len(rows) > limit else None,
        time=[row["time"] for row in page],
        **(_raw(page) if resolution == "raw" else _rolled_up(page)),
    )


@router.get("/diagnostics", summary="Ask the gateway how it fares with a device")
async def get_diagnostics(
    device: DeviceNumber, viewer: CurrentViewer, state: CurrentState
) -> DiagnosticsAnswer:
    """Counters of the device, asked of its gateway now; 503 when the gateway does not answer."""
    async with state.database.reading(viewer.enterprise) as reading:
        row = await require_device(reading, device)
    if row["gateway_number"] is None or row["retired_at"] is not None:
        raise RequestError(f"device {device}: no gateway watches it", status=409, code="no-gateway")
    subject = subjects.request(row["gateway_number"], "diagnostics")
    answer = await state.road.ask(subject, {"device": device})
    try:
        return _diagnostics(device, row["gateway"], reading.now, answer["device"])
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(f"gateway {row['gateway']}: its answer is not understood") from error


def _diagnostics(device: int, gateway: str, now: datetime, told: dict[str, Any]) -> DiagnosticsAnswer:
    last_good = told["last_good"]
    return DiagnosticsAnswer(
        device=device,
        gateway=gateway,
        asked_at=now,
        session=told["session"],
        polls=told["polls"],
        answers=told["answers"],
        errors=told["errors"],
        last_good=None if last_good is None else to_datetime(last_good),
        last_error=told["last_error"],
        latency_ms_p50=told["latency_ms_p50"],
        latency_ms_p99=told["latency_ms_p99"],
        identity=told["identity"],
    )


def _latest(row: dict[str, Any], now: datetime) -> LatestReading:
    received = row["received"]
    return LatestReading(
        position=row["position"],
        tag=row["tag"],
        label=row["label"],
        unit=row["unit"],
        value=row["text"] if row["textual"] else finite(row["value"]),
        quality=row["quality"],
        time=row["time"],
        received=received,
        age_s=None if received is None else round((now - received).total_seconds(), 3),
    )


def finite(value: float | None) -> float | str | None:
    """Return a number as JSON can hold it: what is not finite becomes a word."""
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _raw(page: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "received": [row["received"] for row in page],
        "value": [finite(row["value"]) if row["text"] is None else row["text"] for row in page],
        "quality": [row["quality"] for row in page],
    }


def _rolled_up(page: list[dict[str, Any]]) -> dict[str, Any]:
    columns: dict[str, Any] = {name: [row[name] for row in page] for name in ("count", "good")}
    for name in ("min", "max", "mean", "last"):
        columns[name] = [finite(row[name]) for row in page]
    return columns


def _following(page: list[dict[str, Any]], resolution: Resolution) -> str:
    last = page[-1]
    position = _Position(to_us(last["time"]), to_us(last.get("received", last["time"])))
    return pack(f"{LISTED} {resolution}", position)
