"""Exports: what is written is read again as the same, whatever it holds, and no cell is a formula."""

import csv
import io
import zipfile
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from muster.protocol import ProtocolInfo
from services.ledger.cells import read_free_cell, write_free_cell
from services.ledger.checks import check
from services.ledger.export import write_book
from services.ledger.files import Format, load
from services.ledger.registered import (
    AttestationRow,
    DeviceRow,
    EnterpriseRow,
    GatewayRow,
    ModelRow,
    Registered,
    SiteRow,
)

ANYTHING = {"modbus": ProtocolInfo("modbus", "Modbus", lambda device: "")}

safe = st.characters(
    exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\ufffe\uffff\u200b\ufeff\xa0"
)
names = st.text(safe, max_size=12).map(lambda text: text.strip(" \t\u3000"))
codes = st.text(
    st.characters(categories=["L", "N", "P"], exclude_characters="".join(map(chr, range(0xFF01, 0xFF5F)))),
    min_size=1,
    max_size=8,
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(safe, max_size=8)
)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
keys = st.sampled_from(["host", "port", "unit", "window", "a b", "x.y", "主机", "Host", ""])
opens = st.dictionaries(
    keys, scalars | st.dictionaries(keys, scalars, max_size=2) | st.lists(scalars, max_size=2), max_size=4
)
numbers = st.floats(min_value=0.001, max_value=604800)
finite = st.floats(allow_nan=False, allow_infinity=False)
classes = st.sampled_from(["operating", "processing", "mobile", "other"])
modes = st.sampled_from(["polled", "periodic", "on_change", "sleeping"])
shifts = st.none() | st.just(
    {"timezone": "Europe/Berlin", "shifts": [{"days": [1, 7], "start": "08:00", "end": "24:00"}]}
)


@st.composite
def tags(draw: st.DrawFn) -> list[dict[str, Any]]:
    low = draw(st.none() | finite)
    return [
        {
            "name": name,
            "label": draw(names),
            "type": draw(codes),
            "address": draw(opens.filter(bool)),
            "unit": draw(names),
            "scale": draw(finite),
            "offset": draw(finite),
            "writable": draw(st.booleans()),
            "low": low,
            "high": draw(st.none() | (finite if low is None else st.just(low))),
        }
        for name in draw(st.lists(codes, min_size=1, max_size=3, unique=True))
    ]


@st.composite
def books(draw: st.DrawFn) -> Registered:
    found = Registered()
    for code in draw(st.lists(codes, min_size=1, max_size=2, unique=True)):
        found.enterprises[code] = EnterpriseRow(code=code, name=draw(names) or "x", industry=draw(names))
    enterprises = sorted(found.enterprises)
    site = SiteRow(enterprise=enterprises[0], code=draw(codes), name=draw(names) or "x")
    found.sites[site.enterprise, site.code] = site
    gateway = GatewayRow(code=draw(codes), name=draw(names) or "x", keys=draw(st.sampled_from([[], [KEY]])))
    found.gateways[gateway.code] = gateway
    for code in draw(st.lists(codes, min_size=1, max_size=2, unique=True)):
        found.models[code] = ModelRow(
            code=code,
            name=draw(names) or "x",
            protocol="modbus",
            device_class=draw(classes),
            kind=draw(names),
            report_mode=draw(modes),
            interval_s=draw(numbers),
            tags=draw(tags()),
        )
    for number, code in enumerate(draw(st.lists(codes, max_size=3, unique=True)), start=1):
        model = found.models[draw(st.sampled_from(sorted(found.models)))]
        own = draw(st.booleans())
        device = DeviceRow(
            number=number,
            enterprise=enterprises[0],
            site=draw(st.sampled_from([None, site.code])),
            gateway=draw(st.sampled_from([None, gateway.code])),
            model=model.code,
            code=code,
            name=draw(names) or "x",
            device_class=draw(classes) if own else model.device_class,
            kind=(draw(names) or model.kind) if own else model.kind,
            report_mode=draw(modes) if own else model.report_mode,
            interval_s=draw(numbers) if own else model.interval_s,
            industry=draw(names),
            equipment=draw(st.sampled_from(["", "high_energy"])),
            consumes_energy=draw(st.booleans()),
            shift_pattern=draw(shifts),
            manufacturer=draw(names),
            model_number=draw(names),
            serial_number=f"S{number}",
            commissioned_on=draw(st.sampled_from([None, "2020-02-29"])),
            origin=draw(st.sampled_from(["unknown", "real"])),
            protocol="modbus",
            connection=draw(opens),
        )
        if device.origin == "real":
            found.attestations[number] = [
                AttestationRow(
                    device=number,
                    serial_number=f"S{number}",
                    nameplate_sha256=bytes(32),
                    attested_by=draw(names) or "x",
                    attested_on="2026-01-01",
                )
            ]
        found.devices[device.enterprise, device.code] = device
    return found


def test_integers_that_no_float_holds_come_back_from_a_workbook() -> None:
    for value in (2**53 + 1, 2**60 - 1, -(10**18) - 1, 2**64 - 1):
        assert read_free_cell(write_free_cell(value)) == value
        assert type(read_free_cell(write_free_cell(value))) is int


def unchanged(found: Registered, data: bytes, file: str, sheet: str | None = None) -> None:
    book = load(data, name=file, sheet=sheet)
    report = check(book, ANYTHING, found, today=date(2026, 11, 23))
    assert [problem.say("en") for problem in report.errors] == []
    assert report.changes == []


@settings(max_examples=25)
@given(books())
def test_an_export_that_is_imported_again_changes_nothing(found: Registered) -> None:
    unchanged(found, write_book(found, "yaml"), "book.yaml")
    unchanged(found, write_book(found, "xlsx"), "book.xlsx")
    unchanged(found, write_book(found, "xlsx", language="en"), "book.xlsx")
    for sheet in ("enterprises", "sites", "gateways", "models", "tags", "devices"):
        unchanged(found, write_book(found, "csv", sheet=sheet), "x.csv", sheet)


def restored(found: Registered, data: bytes, file: str) -> None:
    """Importing into an empty platform gives the same entries, attestations apart."""
    report = check(load(data, name=file), ANYTHING, Registered(), today=date(2026, 11, 23))
    created = {name: counts.created for name, counts in report.counts.items()}
    assert report.ok
    assert created == {
        "enterprises": len(found.enterprises),
        "sites": len(found.sites),
        "gateways": len(found.gateways),
        "models": len(found.models),
        "devices": len(found.devices),
    }


@settings(max_examples=10)
@given(books().filter(lambda found: not found.attestations))
def test_an_export_makes_the_same_book_on_an_empty_platform(found: Registered) -> None:
    restored(found, write_book(found, "yaml"), "book.yaml")
    restored(found, write_book(found, "xlsx"), "book.xlsx")


EVIL = ["=1+1", "+1", "-1", "@SUM(A1)", "'=x", "=cmd|' /C calc'!A0", "#N/A", "'quoted"]


def evil() -> Registered:
    found = Registered()
    for number, name in enumerate(EVIL):
        found.enterprises[f"e{number}"] = EnterpriseRow(code=f"e{number}", name=name, industry=name)
    return found


@pytest.mark.parametrize("file", ["book.xlsx", "book.csv"])
def test_no_exported_cell_begins_like_a_formula_and_all_come_back(file: str) -> None:
    found = evil()
    formats: Mapping[str, Format] = {"book.xlsx": "xlsx", "book.csv": "csv"}
    data = write_book(found, formats[file], sheet="enterprises")
    unchanged(found, data, file, "enterprises")
    if file == "book.csv":
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
        cells = [cell for row in rows for cell in row]
    else:
        pages = load_workbook(io.BytesIO(data))
        cells = [cell.value for row in pages["企业"].iter_rows() for cell in row]
        assert {cell.data_type for row in pages["企业"].iter_rows() for cell in row} == {"s"}
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml")
    assert not [cell for cell in cells if cell and cell.startswith(("=", "+", "-", "@"))]


def test_a_number_below_zero_stays_a_number() -> None:
    found = Registered()
    found.models["m"] = ModelRow(
        code="m",
        name="m",
        protocol="modbus",
        device_class="other",
        tags=[{"name": "t", "type": "u", "address": {"a": -1}, "offset": -40.0, "label": "-40"}],
    )
    text = write_book(found, "csv", sheet="tags").decode("utf-8-sig")
    assert "'-40" in text
    assert ",-40.0," in text


def test_retired_devices_are_not_exported() -> None:
    found = Registered()
    found.devices["e", "d"] = DeviceRow(
        enterprise="e", code="d", name="d", device_class="other", retired=True
    )
    assert b'"d"' not in write_book(found, "yaml")
