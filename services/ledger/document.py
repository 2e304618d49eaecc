"""The device book as a document: what can be written in YAML, CSV or XLSX, field by field.

This is the only list of fields. `UNSET` means that the document does not speak of a field: an entry that is
already registered keeps what it has, a new one gets the default. An empty cell (or `null`) is the default.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from muster.device import DeviceClass, Origin, ReportMode
from services.ledger.columns import Column, Field, Kind, columns
from services.ledger.problems import Layout, Problems

Text = str | UnsetType
Reference = str | UnsetType | None
Number = float | UnsetType
Limit = float | UnsetType | None
Flag = bool | UnsetType
Open = dict[str, Any] | UnsetType

CLASSES = tuple(member.value for member in DeviceClass)
MODES = tuple(member.value for member in ReportMode)
ORIGINS = tuple(member.value for member in Origin)
EQUIPMENT = ("high_energy", "general_power", "intelligent")


class Entry(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One entry of a sheet. row: where it is written: the sheet's row, or the line in YAML."""

    row: int = 0


class Enterprise(Entry):
    code: Annotated[str, Field(Kind.CODE, key=True, example="acme")]
    name: Annotated[Text, Field(Kind.TEXT, required=True, example="示例企业")] = UNSET
    industry: Annotated[Text, Field(Kind.TEXT, example="chemicals")] = UNSET


class Site(Entry):
    enterprise: Annotated[str, Field(Kind.CODE, key=True, example="acme")]
    code: Annotated[str, Field(Kind.CODE, key=True, example="pump-house")]
    name: Annotated[Text, Field(Kind.TEXT, required=True, example="泵房")] = UNSET


class Gateway(Entry):
    code: Annotated[str, Field(Kind.CODE, key=True, example="gw-1")]
    name: Annotated[Text, Field(Kind.TEXT, example="1号网关")] = UNSET
    enterprise: Annotated[Reference, Field(Kind.CODE, default=None, example="acme")] = UNSET
    public_key: Annotated[Text, Field(Kind.TEXT)] = UNSET


class Model(Entry):
    code: Annotated[str, Field(Kind.CODE, key=True, example="pump-vsd")]
    name: Annotated[Text, Field(Kind.TEXT, required=True, example="变频水泵")] = UNSET
    enterprise: Annotated[Reference, Field(Kind.CODE, default=None)] = UNSET
    protocol: Annotated[Text, Field(Kind.CODE, required=True, example="modbus")] = UNSET
    device_class: Annotated[Text, Field(Kind.CHOICE, required=True, choices=CLASSES, example="operating")] = (
        UNSET
    )
    kind: Annotated[Text, Field(Kind.TEXT, example="pump")] = UNSET
    report_mode: Annotated[Reference, Field(Kind.CHOICE, choices=MODES, default=None, example="polled")] = (
        UNSET
    )
    interval_s: Annotated[Number, Field(Kind.NUMBER, default=1.0, above=0, high=604800, example=1)] = UNSET


class Tag(Entry):
    model: Annotated[str, Field(Kind.CODE, key=True, example="pump-vsd")]
    name: Annotated[str, Field(Kind.CODE, key=True, example="speed")]
    label: Annotated[Text, Field(Kind.TEXT, example="转速")] = UNSET
    type: Annotated[Text, Field(Kind.CODE, required=True, example="uint16")] = UNSET
    address: Annotated[
        Open,
        Field(
            Kind.OPEN,
            required=True,
            default=None,
            parts=("table", "register", "bit", "length", "word_order", "byte_order"),
            example={"table": "holding", "register": 0},
        ),
    ] = UNSET
    unit: Annotated[Text, Field(Kind.TEXT, example="r/min")] = UNSET
    scale: Annotated[Number, Field(Kind.NUMBER, default=1.0, example=1)] = UNSET
    offset: Annotated[Number, Field(Kind.NUMBER, default=0.0, example=0)] = UNSET
    writable: Annotated[Flag, Field(Kind.BOOLEAN, default=False, example=False)] = UNSET
    low: Annotated[Limit, Field(Kind.NUMBER, default=None, example=0)] = UNSET
    high: Annotated[Limit, Field(Kind.NUMBER, default=None, example=3000)] = UNSET


class Attestation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Who says that the device is a real machine.

    nameplate: the photograph: a file beside the document, a `data:` URI, or `sha256:<hex>` for one that is
    already registered; bytes where a program gives it. serial_number: as read from the nameplate; the
    device's own when absent.
    """

    attested_by: Annotated[str, Field(Kind.TEXT, required=True)]
    attested_on: Annotated[str, Field(Kind.DATE, required=True)]
    nameplate: Annotated[str | bytes, Field(Kind.TEXT, required=True, limit=16_000_000)]
    serial_number: Annotated[Text, Field(Kind.TEXT)] = UNSET


class Device(Entry):
    enterprise: Annotated[str, Field(Kind.CODE, key=True, example="acme")]
    code: Annotated[str, Field(Kind.CODE, key=True, example="P-1")]
    name: Annotated[Text, Field(Kind.TEXT, required=True, example="1号水泵")] = UNSET
    site: Annotated[Reference, Field(Kind.CODE, default=None, example="pump-house")] = UNSET
    gateway: Annotated[Reference, Field(Kind.CODE, default=None, example="gw-1")] = UNSET
    model: Annotated[Text, Field(Kind.CODE, required=True, default=None, example="pump-vsd")] = UNSET
    connection: Annotated[
        Open,
        Field(
            Kind.OPEN,
            default=None,
            parts=("transport", "host", "port", "unit", "window.start", "window.length"),
            example={"transport": "tcp", "host": "192.0.2.10", "port": 502, "unit": 1},
        ),
    ] = UNSET
    industry: Annotated[Text, Field(Kind.TEXT, example="chemicals")] = UNSET
    equipment: Annotated[Text, Field(Kind.CHOICE, choices=EQUIPMENT, example="general_power")] = UNSET
    consumes_energy: Annotated[Flag, Field(Kind.BOOLEAN, default=True, example=True)] = UNSET
    manufacturer: Annotated[Text, Field(Kind.TEXT)] = UNSET
    model_number: Annotated[Text, Field(Kind.TEXT)] = UNSET
    serial_number: Annotated[Text, Field(Kind.TEXT)] = UNSET
    commissioned_on: Annotated[str | UnsetType | None, Field(Kind.DATE, default=None)] = UNSET
    origin: Annotated[Text, Field(Kind.CHOICE, choices=ORIGINS, default="unknown", example="unknown")] = UNSET
    shift_pattern: Annotated[dict[str, Any] | UnsetType | None, Field(Kind.SHIFTS, default=None)] = UNSET
    device_class: Annotated[Reference, Field(Kind.CHOICE, choices=CLASSES, default=None)] = UNSET
    kind: Annotated[Reference, Field(Kind.TEXT, default=None)] = UNSET
    report_mode: Annotated[Reference, Field(Kind.CHOICE, choices=MODES, default=None)] = UNSET
    interval_s: Annotated[Limit, Field(Kind.NUMBER, default=None, above=0, high=604800)] = UNSET
    attestation: Annotated[Attestation | UnsetType | None, Attestation] = UNSET


SHEETS: dict[str, type[Entry]] = {
    "enterprises": Enterprise,
    "sites": Site,
    "gateways": Gateway,
    "models": Model,
    "tags": Tag,
    "devices": Device,
}
"""The sheets of a book in the order in which they refer to one another."""


def sheet_columns(sheet: str) -> tuple[Column, ...]:
    """Return the columns of a sheet."""
    return columns(SHEETS[sheet], sheet)


class Book(msgspec.Struct, kw_only=True):
    """A document that was read, with what was wrong in reading it.

    source: what the document is called in the audit; sha256: of its bytes. layouts: where each sheet's
    fields stand, so that a problem can be shown in its cell. broken: sheet and key of entries that could not
    be read, so that what refers to them is not called wrong as well.
    """

    source: str = ""
    sha256: bytes = b""
    enterprises: list[Enterprise] = []
    sites: list[Site] = []
    gateways: list[Gateway] = []
    models: list[Model] = []
    tags: list[Tag] = []
    devices: list[Device] = []
    layouts: dict[str, Layout] = {}
    broken: set[tuple[str, ...]] = set()
    problems: Problems = msgspec.field(default_factory=Problems)

    def entries(self, sheet: str) -> list[Any]:
        """Return the entries of a sheet, to be read or added to."""
        entries: list[Any] = getattr(self, sheet)
        return entries

    def layout(self, sheet: str) -> Layout:
        """Return where the sheet's fields stand."""
        return self.layouts.get(sheet) or Layout(title=sheet)
