"""`muster fsck`: the stored rows held against what was written down of them when they were recorded."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import typer

from deploy.console_output import DataDir, Json, show
from deploy.progress import both
from deploy.running import chosen, connections
from evidence import fsck
from evidence.fsck import Difference, Report
from muster.clock import SystemClock, to_datetime

SHOWN = 50
_Instant = typer.Option(formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d"])


def check(
    since: Annotated[datetime | None, _Instant] = None,
    until: Annotated[datetime | None, _Instant] = None,
    minutes: Annotated[int, typer.Option(min=1, help="without --since: so many minutes back")] = 60,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Hold the stored rows of a window (UTC) against the digests made when they were recorded.

    Ends with 1 when anything was changed, taken away or put in.
    """
    owner = connections(chosen(data_dir)).owner
    end = _whole(until) or to_datetime(SystemClock().now_us()).replace(second=0, microsecond=0)
    report = asyncio.run(fsck.check(owner, _whole(since) or end - timedelta(minutes=minutes), end))
    names = asyncio.run(fsck.codes(owner, {one.device for one in report.differences if one.device}))
    if as_json:
        show([msgspec.json.encode(_plain(report, names)).decode()])
    else:
        show(_lines(report, names))
    raise typer.Exit(1 if report.differences else 0)


def _lines(report: Report, names: dict[int, str]) -> list[str]:
    facts = {name: getattr(report, name) for name in ("device_minutes", "same", "expired", "rows")}
    window = {"since": f"{report.since:%F %H:%M}", "until": f"{report.until:%F %H:%M}"}
    lines = [both("fsck.window", **window, **facts, differing=len(report.differences))]
    lines += [_line(one, names) for one in report.differences[:SHOWN]]
    if len(report.differences) > SHOWN:
        lines.append(both("fsck.more", count=len(report.differences) - SHOWN))
    return [*lines, both("fsck.unsealed")]


def _line(one: Difference, names: dict[int, str]) -> str:
    facts = {"batch": one.found.get("batch", ""), "rows": one.found.get("rows", "")}
    recorded, found = (side.get("scans", 0) + side.get("texts", 0) for side in (one.recorded, one.found))
    said = both(one.reason, **facts, recorded=recorded, found=found)
    return f"{one.minute:%F %H:%M}  {names.get(one.device, '')}  {said}"


def _plain(report: Report, names: dict[int, str]) -> dict[str, Any]:
    differences = [{**asdict(one), "code": names.get(one.device)} for one in report.differences]
    return {**asdict(report), "device_minutes": report.device_minutes, "differences": differences}


def _whole(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.replace(tzinfo=UTC)
