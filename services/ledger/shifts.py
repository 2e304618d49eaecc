"""Shift patterns: when a device is meant to run, so that a batch plant at night reads as such.

As text `1-5 08:00-20:00; 6 08:00-12:00` (days from Monday = 1; a shift that ends before it begins ends on the
next day; 24:00 is midnight at the end), in YAML also as the dictionary that this text becomes:
`{timezone: Asia/Shanghai, shifts: [{days: [1, 2, 3, 4, 5], start: "08:00", end: "20:00"}]}`.
"""

import re
import zoneinfo
from typing import Any

TIMEZONE = "Asia/Shanghai"
_SHIFT = re.compile(
    r"(?P<days>[1-7](?:\s*[-,]\s*[1-7])*)\s+(?P<start>[0-9]{1,2}:[0-9]{2})\s*-\s*(?P<end>[0-9]{1,2}:[0-9]{2})"
)


class NotShifts(ValueError):
    """What was written is no shift pattern."""


def parse_shifts(written: str | dict[str, Any]) -> dict[str, Any]:
    """Return a shift pattern as it is kept.

    Raises:
        NotShifts: it is not one.
    """
    try:
        return _check(written) if isinstance(written, dict) else _parse(written)
    except ValueError as error:
        raise NotShifts(str(error)) from error


def _parse(written: str) -> dict[str, Any]:
    zone, _, rest = written.rpartition("|")
    shifts = []
    for part in re.split("[;；]", rest):
        match = _SHIFT.fullmatch(part.strip())
        if match is None:
            raise ValueError(part)
        shifts.append({"days": _days(match["days"]), "start": match["start"], "end": match["end"]})
    return _check({"timezone": zone.strip() or TIMEZONE, "shifts": shifts})


def write_shifts(pattern: dict[str, Any]) -> str:
    """Return the text that `parse_shifts` reads as this pattern."""
    zone = "" if pattern["timezone"] == TIMEZONE else f"{pattern['timezone']} | "
    return zone + "; ".join(
        f"{','.join(str(day) for day in shift['days'])} {shift['start']}-{shift['end']}"
        for shift in pattern["shifts"]
    )


def _days(text: str) -> list[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if low > high:
            raise ValueError(text)
        days.update(range(low, high + 1))
    return sorted(days)


def _check(pattern: dict[str, Any]) -> dict[str, Any]:
    zone, shifts = pattern.get("timezone", TIMEZONE), pattern.get("shifts")
    if set(pattern) - {"timezone", "shifts"} or not isinstance(shifts, list) or not shifts:
        raise ValueError("a shift pattern has a time zone and shifts")
    try:
        if zone != TIMEZONE:
            zoneinfo.ZoneInfo(str(zone))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no time zone {zone}") from error
    return {"timezone": str(zone), "shifts": [_check_shift(shift) for shift in shifts]}


def _check_shift(shift: Any) -> dict[str, Any]:
    if not isinstance(shift, dict) or set(shift) != {"days", "start", "end"} or not shift["days"]:
        raise ValueError("a shift has days, start and end")
    if not isinstance(shift["days"], list) or not all(isinstance(day, int | str) for day in shift["days"]):
        raise ValueError("days are a list of numbers")
    days = sorted({int(day) for day in shift["days"]})
    if days[0] < 1 or days[-1] > 7:
        raise ValueError("days are 1 (Monday) to 7")
    start, end = (_clock(str(shift[side])) for side in ("start", "end"))
    if start == end:
        raise ValueError("a shift does not end when it begins")
    return {"days": days, "start": start, "end": end}


def _clock(text: str) -> str:
    hours, _, minutes = text.partition(":")
    if not (hours.isascii() and hours.isdigit() and minutes.isascii() and minutes.isdigit()):
        raise ValueError(text)
    if int(minutes) > 59 or int(hours) * 60 + int(minutes) > 24 * 60:
        raise ValueError(text)
    return f"{int(hours):02d}:{int(minutes):02d}"
