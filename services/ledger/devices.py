"""Devices: the last step of understanding a book, where all references meet and the protocol is asked.

A device follows its model in class, kind, report mode and interval unless it says otherwise; when a model
changes, so do its devices, also those the book does not name.
"""

import re
from collections.abc import Container
from datetime import date, timedelta

import msgspec
from msgspec import UNSET

from muster.device import Device as Document
from muster.device import ReportMode
from muster.device import Tag as DocumentTag
from muster.errors import ConfigError
from services.ledger.attestations import attest
from services.ledger.document import Device
from services.ledger.problems import Change
from services.ledger.registered import DeviceName, DeviceRow, ModelRow
from services.ledger.resolution import Resolution, differences

_TAG = re.compile(r"tags[\[.]")
FOLLOWED = ("device_class", "kind", "report_mode", "interval_s")
PLAIN_FIELDS = (
    "name",
    "industry",
    "equipment",
    "consumes_energy",
    "shift_pattern",
    "manufacturer",
    "model_number",
    "serial_number",
    "commissioned_on",
    "origin",
)


class DeviceStep:
    """Takes up the devices of a book."""

    def __init__(self, resolution: Resolution, today: date) -> None:
        self.resolution = resolution
        self.rows: dict[DeviceName, int] = {}
        self.devices: dict[DeviceName, DeviceRow] = {}
        self._latest = (today + timedelta(days=1)).isoformat()  # today where the day begins first
        self._tags: dict[str, list[DocumentTag]] = {}
        self._tag_failures: dict[tuple[str, str], list[int]] = {}
        self._passed: set[str] = set()

    def resolve(self, retired: Container[DeviceName]) -> None:
        """Take up the devices, then those that follow a changed model; `retired` ones follow no more."""
        for entry in self.resolution.book.devices:
            self._device(entry)
        self._say_tag_failures()
        if self.resolution.changed_models:
            self._followers(retired)

    def _device(self, entry: Device) -> None:
        resolution = self.resolution
        name = (entry.enterprise, entry.code)
        if not resolution.within("devices", entry, entry.enterprise):
            return
        if not resolution.first_time("devices", entry, *name):
            return
        old = self._machine(entry, resolution.registered.devices.get(name))
        if not resolution.whole("devices", entry, new=old is None):
            return
        model = self._model(entry, old)
        good = self._references(entry)
        if model is None or not good:
            return
        new = _row(entry, old, model, resolution.registered.models.get(old.model or "") if old else None)
        if not self._accepted(new, model, entry.row):
            return
        attested = attest(self.resolution, entry, old, new, self._latest)
        self._keep(name, old, new, attested)
        self.rows[name] = entry.row

    def _machine(self, entry: Device, old: DeviceRow | None) -> DeviceRow | None:
        """Return the registered device that the entry means; a retired one only if its serial is the same."""
        if old is None or not old.retired:
            return old
        serial = entry.serial_number
        return old if isinstance(serial, str) and serial and serial == old.serial_number else None

    def _model(self, entry: Device, old: DeviceRow | None) -> ModelRow | None:
        resolution = self.resolution
        code = (old.model if old else None) if entry.model is UNSET else entry.model
        model = resolution.models.get(code or "")
        if ("models", code or "") in resolution.book.broken:
            return None
        if model is None:
            resolution.error("devices", entry.row, "model", "book.unknown-model", value=code or "")
            return None
        if model.enterprise not in (None, entry.enterprise):
            resolution.error("devices", entry.row, "model", "book.model-elsewhere", value=code)
            return None
        return model

    def _references(self, entry: Device) -> bool:
        resolution, good = self.resolution, True
        if isinstance(entry.site, str) and entry.site:
            site = (entry.enterprise, entry.site)
            if ("sites", *site) in resolution.book.broken:
                good = False
            elif site not in resolution.sites:
                resolution.error(
                    "devices", entry.row, "site", "book.unknown-site", value=site[1], enterprise=site[0]
                )
                good = False
        if isinstance(entry.gateway, str) and entry.gateway:
            gateway = resolution.gateways.get(entry.gateway)
            if ("gateways", entry.gateway) in resolution.book.broken:
                good = False
            elif gateway is None:
                resolution.error("devices", entry.row, "gateway", "book.unknown-gateway", value=entry.gateway)
                good = False
            elif gateway.enterprise not in (None, entry.enterprise):
                resolution.error(
                    "devices", entry.row, "gateway", "book.gateway-elsewhere", value=entry.gateway
                )
                good = False
        return good

    def _accepted(self, new: DeviceRow, model: ModelRow, row: int) -> bool:
        """Ask the protocol; set the endpoint, or keep what it refuses."""
        try:
            new.endpoint = self._validated(new, model)
        except ConfigError as error:
            detail = str(error)
            field = detail.partition(":")[0].strip()
            if _TAG.match(field):
                self._tag_failures.setdefault((model.code, detail), []).append(row)
            else:
                self.resolution.error("devices", row, field, "book.protocol-refuses", detail=detail)
            return False
        self._passed.add(model.code)
        return True

    def _say_tag_failures(self) -> None:
        """Say what was refused of tags: at the tag when no device passes with it, else at each device."""
        for (model, detail), rows in self._tag_failures.items():
            field = detail.partition(":")[0].strip()
            place = self._tag_place(model, field) if model not in self._passed else None
            if place is not None:
                row, column = place
                self.resolution.error("tags", row, column, "book.protocol-refuses", detail=detail)
                continue
            for row in rows if model in self._passed else rows[:1]:
                self.resolution.error("devices", row, field, "book.protocol-refuses", detail=detail)

    def _tag_place(self, model: str, field: str) -> tuple[int, str] | None:
        """Return the row and column of the book's tag that the protocol names, None when it has none."""
        for tag in self.resolution.book.tags:
            for prefix in (f"tags[{tag.name}].", f"tags.{tag.name}."):
                if tag.model == model and field.startswith(prefix):
                    return tag.row, field.removeprefix(prefix)
        return None

    def _validated(self, new: DeviceRow, model: ModelRow) -> str:
        protocol = self.resolution.protocols.get(model.protocol)
        if protocol is None:
            raise ConfigError(f"protocol: {model.protocol}")
        tags = self._tags.get(model.code)
        if tags is None:
            tags = self._tags[model.code] = _document_tags(model)
        return protocol.validate(
            Document(
                number=new.number or 0,
                version=0,
                code=new.code,
                name=new.name,
                enterprise=0,
                protocol=model.protocol,
                connection=new.connection,
                report_mode=ReportMode(new.report_mode),
                interval_s=new.interval_s,
                tags=tags,
            )
        )

    def _keep(self, name: DeviceName, old: DeviceRow | None, new: DeviceRow, attested: bool) -> None:
        resolution = self.resolution
        self.devices[name] = new
        code = "/".join(name)
        if old is None:
            resolution.counts["devices"].created += 1
            resolution.changes.append(Change("devices", code, "created"))
            resolution.writes.devices.append(new)
            return
        fields = differences(old, new)
        if fields:
            resolution.writes.devices.append(new)
        if "model" in fields or new.model in resolution.changed_models or old.retired:
            resolution.writes.retagged.append(new.number or 0)
        if fields or attested:
            resolution.counts["devices"].changed += 1
            fields = (*fields, "attestation") if attested else fields
            resolution.changes.append(Change("devices", code, "changed", fields))
        else:
            resolution.counts["devices"].unchanged += 1

    def _followers(self, retired: Container[DeviceName]) -> None:
        """Take up the devices that the book does not name and whose model it changes."""
        resolution = self.resolution
        before = resolution.registered.models
        for name, old in resolution.registered.devices.items():
            row = resolution.changed_models.get(old.model or "")
            if row is None or old.retired or name in retired or name in self.devices:
                continue
            if ("devices", *name) in resolution.book.broken:
                continue
            model = resolution.models[old.model or ""]
            new = _row(Device(enterprise=old.enterprise, code=old.code), old, model, before[model.code])
            try:
                new.endpoint = self._validated(new, model)
            except ConfigError as error:
                resolution.error(
                    "models",
                    row,
                    "",
                    "book.device-then-refused",
                    enterprise=name[0],
                    device=name[1],
                    detail=str(error),
                )
                continue
            self._keep(name, old, new, attested=False)


def _row(entry: Device, old: DeviceRow | None, model: ModelRow, old_model: ModelRow | None) -> DeviceRow:
    """Return the row that an entry makes of a registered device, or of nothing."""
    new = (
        msgspec.structs.replace(old, retired=False)
        if old is not None
        else DeviceRow(enterprise=entry.enterprise, code=entry.code, name="", device_class=model.device_class)
    )
    for field in PLAIN_FIELDS:
        said = getattr(entry, field)
        if said is not UNSET:
            setattr(new, field, said)
    if entry.connection is not UNSET:
        new.connection = entry.connection or {}
    if entry.site is not UNSET:
        new.site = entry.site or None
    if entry.gateway is not UNSET:
        new.gateway = entry.gateway or None
    new.model, new.protocol = model.code, model.protocol
    for field in FOLLOWED:
        said = getattr(entry, field)
        if said is UNSET:
            own = (
                old is not None and old_model is not None and getattr(old, field) != getattr(old_model, field)
            )
            said = getattr(old, field) if own else None
        setattr(new, field, getattr(model, field) if said in (None, "") else said)
    return new


def _document_tags(model: ModelRow) -> list[DocumentTag]:
    return [
        DocumentTag(
            position=position,
            **{field: value for field, value in tag.items() if field != "label"},
        )
        for position, tag in enumerate(model.tags, start=1)
    ]
