"""The whole check of a book: every mistake by sheet, row and column, and the plan of what it would change."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime

from muster.protocol import ProtocolInfo
from services.ledger.devices import DeviceStep
from services.ledger.document import Book
from services.ledger.models import resolve_models
from services.ledger.owners import resolve_enterprises, resolve_gateways, resolve_sites
from services.ledger.problems import Change, Report
from services.ledger.registered import DeviceName, DeviceRow, Registered
from services.ledger.resolution import Resolution


def check(
    book: Book,
    protocols: Mapping[str, ProtocolInfo],
    existing: Registered,
    *,
    retire_missing: bool = False,
    today: date | None = None,
) -> Report:
    """Return what the book would change beside what is registered, and everything that is wrong with it."""
    return resolve(book, protocols, existing, retire_missing=retire_missing, today=today).report()


def resolve(
    book: Book,
    protocols: Mapping[str, ProtocolInfo],
    existing: Registered,
    *,
    retire_missing: bool = False,
    today: date | None = None,
) -> Resolution:
    """Understand the book whole: `report()` says what is wrong, `writes` what must be written.

    retire_missing: devices of the enterprises that the book names, which it does not list, are retired.
    """
    resolution = Resolution(book, protocols, existing)
    resolve_enterprises(resolution)
    resolve_sites(resolution)
    resolve_gateways(resolution)
    resolve_models(resolution)
    step = DeviceStep(resolution, today or datetime.now(UTC).date())
    retired = _missing(resolution) if retire_missing else {}
    step.resolve(retired)
    for name, row in retired.items():
        resolution.writes.retire.append(row.number or 0)
        resolution.counts["devices"].retired += 1
        resolution.changes.append(Change("devices", "/".join(name), "retired"))
    others = {
        name: row
        for name, row in existing.devices.items()
        if name not in step.devices and name not in retired and not row.retired
    }
    _warn_of_overlaps(resolution, step, others)
    _warn_of_serials(resolution, step, others)
    return resolution


def _missing(resolution: Resolution) -> dict[DeviceName, DeviceRow]:
    book = resolution.book
    enterprises = {entry.code for entry in book.enterprises} | {entry.enterprise for entry in book.devices}
    listed = {(entry.enterprise, entry.code) for entry in book.devices}
    return {
        name: row
        for name, row in resolution.registered.devices.items()
        if name[0] in enterprises and name not in listed and not row.retired
    }


def _warn_of_overlaps(
    resolution: Resolution, step: DeviceStep, others: Mapping[DeviceName, DeviceRow]
) -> None:
    """Warn where devices share addresses in one process address space: perhaps one machine sold twice."""
    groups: dict[str, list[DeviceRow]] = {}
    for row in (*others.values(), *step.devices.values()):
        if row.endpoint:
            groups.setdefault(row.endpoint, []).append(row)
    addresses: dict[str, frozenset[str]] = {}
    for endpoint, group in groups.items():
        if len(group) < 2:
            continue
        owner: dict[str, str] = {}
        for row in group:
            mine = _addresses(resolution, addresses, row.model or "")
            shared: dict[str, int] = {}
            for address in mine:
                first = owner.setdefault(address, row.code)
                if first != row.code:
                    shared[first] = shared.get(first, 0) + 1
            place = step.rows.get((row.enterprise, row.code))
            if place is None:
                continue
            for other, count in shared.items():
                resolution.problems.warn(
                    "book.addresses-overlap",
                    resolution.book.layout("devices"),
                    place,
                    "code",
                    other=other,
                    endpoint=endpoint,
                    count=count,
                )


def _addresses(resolution: Resolution, known: dict[str, frozenset[str]], model: str) -> frozenset[str]:
    if model not in known:
        row = resolution.models.get(model)
        tags = row.tags if row else []
        known[model] = frozenset(json.dumps(tag["address"], sort_keys=True) for tag in tags)
    return known[model]


def _warn_of_serials(
    resolution: Resolution, step: DeviceStep, others: Mapping[DeviceName, DeviceRow]
) -> None:
    """Warn of one serial number on two devices of one manufacturer."""
    seen = {(row.manufacturer, row.serial_number): row.code for row in others.values() if row.serial_number}
    for name, place in step.rows.items():
        row = step.devices[name]
        if not row.serial_number:
            continue
        other = seen.setdefault((row.manufacturer, row.serial_number), row.code)
        if other != row.code:
            resolution.problems.warn(
                "book.serial-twice",
                resolution.book.layout("devices"),
                place,
                "serial_number",
                value=row.serial_number,
                other=other,
            )
