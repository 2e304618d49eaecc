"""Devices' documents for the benchmarks: everything that no figure depends on, said once."""

from typing import Any

from muster.device import Device, ReportMode, Tag


def document(
    number: int,
    protocol: str,
    connection: dict[str, Any],
    tags: list[Tag],
    *,
    polled: bool = False,
    interval_s: float = 1.0,
) -> Device:
    """Return the document of device `number`, counted from 1; a device that is not polled reports by itself."""
    return Device(
        number=number,
        version=1,
        code=f"B-{number}",
        name=f"bench {number}",
        enterprise=1,
        protocol=protocol,
        connection=connection,
        report_mode=ReportMode.POLLED if polled else ReportMode.PERIODIC,
        interval_s=interval_s,
        tags=tags,
    )
