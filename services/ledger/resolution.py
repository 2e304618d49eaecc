"""A book being understood beside what is registered: the rows that would be, the plan, the mistakes.

Pure. What the steps share is here; the steps themselves are in `owners.py` (enterprises, sites, gateways),
`models.py` (models and tags) and `devices.py`. A reference to an entry that is itself broken is not called
wrong again.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from muster.protocol import ProtocolInfo
from services.ledger.document import Book, Entry, sheet_columns
from services.ledger.problems import Change, Counts, Problems, Report
from services.ledger.registered import (
    DeviceRow,
    EnterpriseRow,
    GatewayRow,
    ModelRow,
    Registered,
    SiteRow,
)

Row = TypeVar("Row", EnterpriseRow, SiteRow, GatewayRow, ModelRow)


class NewAttestation(msgspec.Struct, frozen=True):
    """An attestation to be recorded; no nameplate: that of an earlier one with this digest."""

    device: DeviceRow
    serial_number: str
    nameplate: bytes | None
    nameplate_sha256: bytes
    attested_by: str
    attested_on: str


class Writes(msgspec.Struct):
    """What must be written for the database to hold the book. retire: numbers of devices.

    retagged: numbers of registered devices whose tags must follow their model.
    """

    enterprises: list[EnterpriseRow] = []
    sites: list[SiteRow] = []
    gateways: list[GatewayRow] = []
    models: list[ModelRow] = []
    devices: list[DeviceRow] = []
    attestations: list[NewAttestation] = []
    retire: list[int] = []
    retagged: list[int] = []


class Resolution:
    """A book being understood. Each step may refer to what the steps before it have made."""

    def __init__(self, book: Book, protocols: Mapping[str, ProtocolInfo], registered: Registered) -> None:
        self.book, self.protocols, self.registered = book, protocols, registered
        read = book.problems
        self.problems = Problems(list(read.errors), list(read.warnings), read.error_count, read.warning_count)
        self.counts = {name: Counts() for name in ("enterprises", "sites", "gateways", "models", "devices")}
        self.changes: list[Change] = []
        self.writes = Writes()
        self.enterprises = dict(registered.enterprises)
        self.sites = dict(registered.sites)
        self.gateways = dict(registered.gateways)
        self.models = dict(registered.models)
        self.changed_models: dict[str, int] = {}
        self._seen: dict[tuple[str, ...], int] = {}

    def report(self) -> Report:
        """Return what was found so far."""
        said = self.problems
        return Report(
            said.errors, said.warnings, said.error_count, said.warning_count, self.counts, self.changes
        )

    def error(self, sheet: str, row: int, field: str, key: str, **params: Any) -> None:
        """Add an error at a field of an entry."""
        self.problems.error(key, self.book.layout(sheet), row, field, **params)

    def first_time(self, sheet: str, entry: Entry, *names: str) -> bool:
        """Tell whether the entry's key stands in the book for the first time; say so when not."""
        other = self._seen.get((sheet, *names))
        if other is None:
            self._seen[(sheet, *names)] = entry.row
            return True
        self.error(sheet, entry.row, "code", "book.duplicate", value="/".join(names), other=other)
        return False

    def within(self, sheet: str, entry: Entry, enterprise: str) -> bool:
        """Tell whether the entry's enterprise exists and may be changed; say so when not."""
        scope = self.registered.scope
        if scope is not None and enterprise != scope:
            self.error(sheet, entry.row, "enterprise", "book.outside-scope", value=enterprise)
            return False
        if enterprise not in self.enterprises:
            if ("enterprises", enterprise) not in self.book.broken:
                self.error(sheet, entry.row, "enterprise", "book.unknown-enterprise", value=enterprise)
            return False
        return True

    def whole(self, sheet: str, entry: Entry, *, new: bool) -> bool:
        """Tell whether the entry has all that it must have; say so when not."""
        whole = True
        for column in sheet_columns(sheet):
            if not column.field.required or len(column.path) > 1:
                continue
            value = getattr(entry, column.path[0])
            if value in (None, "") or (new and value is UNSET):
                self.error(sheet, entry.row, column.name, "book.required")
                whole = False
        return whole

    def keep(self, sheet: str, name: str, old: Row | None, new: Row, known: dict[Any, Row], key: Any) -> bool:
        """Take up a row, and tell whether it differs from what is registered."""
        known[key] = new
        if old is None:
            self.counts[sheet].created += 1
            self.changes.append(Change(sheet, name, "created"))
            return True
        fields = differences(old, new)
        if not fields:
            self.counts[sheet].unchanged += 1
            return False
        self.counts[sheet].changed += 1
        self.changes.append(Change(sheet, name, "changed", fields))
        return True


def merged(structure: type[Row], old: Row | None, entry: Entry, **given: Any) -> Row:
    """Return the row that an entry makes of what is registered; fields it does not speak of stay."""
    values = dict(given)
    for field in structure.__struct_fields__:
        if field in values:
            continue
        said = getattr(entry, field, UNSET)
        if said is not UNSET:
            values[field] = said
        elif old is not None:
            values[field] = getattr(old, field)
    return structure(**values)


def differences(old: Any, new: Any) -> tuple[str, ...]:
    """Return the names of the fields in which two rows of one kind differ."""
    return tuple(
        field for field in new.__struct_fields__ if not same(getattr(old, field), getattr(new, field))
    )


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal, truth values and numbers kept apart."""
    if one != other:
        return False
    if isinstance(one, dict):
        return all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return all(same(left, right) for left, right in zip(one, other, strict=True))
    return isinstance(one, bool) == isinstance(other, bool)
