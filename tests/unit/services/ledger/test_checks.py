"""The check of a book: every mistake in its place, the plan of what would change, nothing said twice."""

from services.ledger.checks import resolve
from services.ledger.files import load
from services.ledger.problems import Change
from services.ledger.registered import (
    DeviceRow,
    Registered,
)
from tests.unit.services.ledger.books import BOOK, Protocols, checked, registered, said, tag


def test_a_book_for_an_empty_platform_creates_everything(protocols: Protocols) -> None:
    report = checked(BOOK, protocols)
    assert report.ok
    assert [(change.sheet, change.code, change.action) for change in report.changes] == [
        ("enterprises", "acme", "created"),
        ("sites", "acme/hall", "created"),
        ("gateways", "gw", "created"),
        ("models", "pump", "created"),
        ("devices", "acme/P-1", "created"),
    ]


def test_a_new_device_follows_its_model_and_has_its_endpoint(protocols: Protocols) -> None:
    device = resolve(load(BOOK.encode(), "yaml"), protocols, Registered()).writes.devices[0]
    assert (device.interval_s, device.device_class, device.endpoint) == (2.0, "operating", "h:502/1")
    assert (device.origin, device.consumes_energy, device.number) == ("unknown", True, None)


def test_fields_that_a_book_does_not_speak_of_stay(protocols: Protocols) -> None:
    text = "devices: [{enterprise: acme, code: P-1, name: renamed}]"
    report = checked(text, protocols, registered(manufacturer="X", interval_s=9.0))
    assert report.ok
    assert report.changes == [Change("devices", "acme/P-1", "changed", ("name",))]


def test_an_empty_field_is_the_default_and_an_override_ends(protocols: Protocols) -> None:
    text = "devices: [{enterprise: acme, code: P-1, manufacturer: null, interval_s: null, site: null}]"
    report = checked(text, protocols, registered(manufacturer="X", interval_s=9.0))
    assert report.changes == [
        Change("devices", "acme/P-1", "changed", ("site", "interval_s", "manufacturer"))
    ]


def test_a_number_and_a_truth_value_are_not_the_same(protocols: Protocols) -> None:
    text = "devices: [{enterprise: acme, code: P-1, connection: {host: h, port: 502, unit: true}}]"
    existing = registered(connection={"host": "h", "port": 502, "unit": 1})
    existing.devices["acme", "P-1"].endpoint = "h:502/True"
    assert checked(text, protocols, existing).changes[0].fields == ("connection",)


def test_a_changed_model_takes_all_its_devices_along(protocols: Protocols) -> None:
    text = "models: [{code: pump, interval_s: 5, device_class: processing}]"
    report = checked(text, protocols, registered())
    assert [(change.sheet, change.fields) for change in report.changes] == [
        ("models", ("device_class", "interval_s")),
        ("devices", ("device_class", "interval_s")),
    ]
    own = checked(text, protocols, registered(interval_s=9.0))
    assert own.changes[-1].fields == ("device_class",)


def test_a_model_cannot_change_so_that_a_device_elsewhere_breaks(protocols: Protocols) -> None:
    text = "models:\n  - code: pump\n    tags: [{name: speed, type: float64, address: {register: 0}}]"
    report = checked(text, protocols, registered())
    assert said(report) == [("book.device-then-refused", "models", 2, None)]
    assert report.errors[0].params["device"] == "P-1"


def test_tags_alone_change_a_registered_model_and_keep_what_they_do_not_say(protocols: Protocols) -> None:
    existing = registered()
    existing.models["pump"].tags = [tag("speed", unit="r/min", low=0.0)]
    text = """
tags:
  - {model: pump, name: speed, label: Speed}
  - {model: pump, name: t, type: uint16, address: {register: 2}}
"""
    resolution = resolve(load(text.encode(), "yaml"), protocols, existing)
    assert resolution.report().ok
    assert resolution.writes.models[0].tags == [
        tag("speed", unit="r/min", low=0.0, label="Speed"),
        tag("t", address={"register": 2}),
    ]
    assert resolution.writes.retagged == [7]


def test_what_refers_to_nothing_is_named(protocols: Protocols) -> None:
    text = """
sites: [{enterprise: nobody, code: s, name: S}]
tags: [{model: nothing, name: t, type: uint16, address: {}}]
devices:
  - {enterprise: nobody, code: a, name: a, model: pump}
  - {enterprise: acme, code: b, name: b, model: nothing, site: nowhere, gateway: none}
"""
    assert said(checked(text, protocols, registered())) == [
        ("book.unknown-enterprise", "sites", 2, "enterprise"),
        ("book.unknown-model", "tags", 3, "model"),
        ("book.unknown-enterprise", "devices", 5, "enterprise"),
        ("book.unknown-site", "devices", 6, "site"),
        ("book.unknown-gateway", "devices", 6, "gateway"),
    ]


def test_what_refers_to_something_broken_is_not_called_wrong_again(protocols: Protocols) -> None:
    text = BOOK.replace("device_class: operating", "device_class: shiny").replace("name: Hall", "nome: Hall")
    assert [key for key, *_ in said(checked(text, protocols))] == [
        "book.unknown-key",
        "book.not-a-choice",
        "book.required",
    ]


def test_what_stands_twice_is_named_with_the_first_row(protocols: Protocols) -> None:
    text = (
        BOOK + "  - {enterprise: acme, model: pump, code: P-1, name: again, connection: {host: i, port: 1}}\n"
    )
    report = checked(text, protocols)
    assert said(report) == [("book.duplicate", "devices", 15, "code")]
    assert report.errors[0].params == {"value": "acme/P-1", "other": 13}
    tags = BOOK.replace("tags: [", "tags: [{name: speed, type: uint16, address: {}}, ")
    assert [key for key, *_ in said(checked(tags, protocols))] == ["book.duplicate"]


def test_what_a_new_entry_must_have_is_asked_for(protocols: Protocols) -> None:
    text = """
enterprises: [{code: e}]
models: [{code: m}]
devices: [{enterprise: acme, code: d}]
"""
    assert said(checked(text, protocols, registered())) == [
        ("book.required", "enterprises", 2, "name"),
        ("book.required", "models", 3, "name"),
        ("book.required", "models", 3, "protocol"),
        ("book.required", "models", 3, "device_class"),
        ("book.required", "devices", 4, "name"),
        ("book.required", "devices", 4, "model"),
    ]


def test_what_the_protocol_refuses_is_said_at_the_field_it_names(protocols: Protocols) -> None:
    report = checked(BOOK.replace("port: 502", "port: 0"), protocols)
    assert said(report) == [("book.protocol-refuses", "devices", 13, "connection.port")]
    unknown = BOOK.replace("port: 502", "port: 502, colour: red")
    assert said(checked(unknown, protocols))[0][3] == "connection.colour"
    assert said(checked(BOOK.replace("protocol: modbus", "protocol: smoke"), protocols)) == [
        ("book.unknown-protocol", "models", 6, "protocol")
    ]


def test_a_bad_tag_is_said_once_however_many_devices_have_it(protocols: Protocols) -> None:
    more = "".join(
        f"  - {{enterprise: acme, model: pump, code: Q-{n}, name: q, connection: {{host: h, port: {n}}}}}\n"
        for n in range(1, 50)
    )
    text = (BOOK + more).replace("type: uint16", "type: float64")
    assert said(checked(text, protocols)) == [("book.protocol-refuses", "models.tags", 11, "type")]


def test_a_tag_that_only_some_devices_cannot_have_is_said_at_each_of_them(protocols: Protocols) -> None:
    narrow = "connection: {host: h, port: 1, window: {length: 0}}"
    more = "".join(
        f"  - {{enterprise: acme, model: pump, code: Q-{n}, name: q, {narrow}}}\n" for n in range(2)
    )
    report = checked(BOOK + more, protocols)
    assert said(report) == [
        ("book.protocol-refuses", "devices", 15, "tags[speed].address.register"),
        ("book.protocol-refuses", "devices", 16, "tags[speed].address.register"),
    ]


def test_devices_that_share_addresses_on_one_endpoint_are_warned_of(protocols: Protocols) -> None:
    more = "  - {enterprise: acme, model: pump, code: P-2, name: two, connection: {host: h, port: 502}}\n"
    report = checked(BOOK + more, protocols)
    assert report.ok
    assert [(problem.key, problem.row, problem.params) for problem in report.warnings] == [
        ("book.addresses-overlap", 15, {"other": "P-1", "endpoint": "h:502/1", "count": 1})
    ]
    beside = (
        "devices: [{enterprise: acme, model: pump, code: P-9, name: x, connection: {host: h, port: 502}}]"
    )
    assert [problem.key for problem in checked(beside, protocols, registered()).warnings] == [
        "book.addresses-overlap"
    ]


def test_one_serial_number_on_two_devices_is_warned_of(protocols: Protocols) -> None:
    text = """
devices:
  - {enterprise: acme, model: pump, code: P-2, name: x, serial_number: S1, connection: {host: i, port: 1}}
"""
    report = checked(text, protocols, registered(serial_number="S1"))
    assert [problem.key for problem in report.warnings] == ["book.serial-twice"]


def test_missing_devices_are_retired_only_when_asked_and_only_of_enterprises_in_the_book(
    protocols: Protocols,
) -> None:
    existing = registered()
    for code in ("P-2", "P-3"):
        existing.devices["acme", code] = DeviceRow(
            number=int(code[-1]), enterprise="acme", code=code, name="x", device_class="other", model="pump"
        )
    existing.devices["other", "X"] = DeviceRow(
        number=99, enterprise="other", code="X", name="x", device_class="other"
    )
    text = "devices: [{enterprise: acme, code: P-1}]"
    assert checked(text, protocols, existing).counts["devices"].retired == 0
    book = load(text.encode(), "yaml")
    resolution = resolve(book, protocols, existing, retire_missing=True)
    assert resolution.writes.retire == [2, 3]
    assert resolution.report().counts["devices"].retired == 2


def test_a_retired_code_comes_back_as_a_new_device_unless_the_serial_is_the_same(
    protocols: Protocols,
) -> None:
    device = """
devices:
  - {enterprise: acme, code: P-1, name: n, model: pump, connection: {host: h, port: 1}, serial_number: S}
"""
    for serial, number in (("S", 7), ("T", None), ("", None)):
        existing = registered(serial_number=serial, retired=True)
        made = resolve(load(device.encode(), "yaml"), protocols, existing).writes.devices
        assert [row.number for row in made] == [number]


def test_a_public_key_must_be_one(protocols: Protocols) -> None:
    for key in ("abc", "AAAA", "*", "A" * 43 + "=", "AQ" + "A" * 41 + "=", "Ag" + "A" * 41 + "="):
        assert [
            found for found, *_ in said(checked(f"gateways: [{{code: g, public_key: '{key}'}}]", protocols))
        ] == ["book.public-key-invalid"]


def test_limits_of_a_tag_are_in_order(protocols: Protocols) -> None:
    text = BOOK.replace("address: {register: 0}", "address: {register: 0}, low: 5, high: 1")
    assert [key for key, *_ in said(checked(text, protocols))] == ["book.low-above-high"]


def test_a_model_without_tags_is_refused(protocols: Protocols) -> None:
    text = "models: [{code: m, name: M, protocol: modbus, device_class: other%s}]"
    for tags in ("", ", tags: []"):
        assert [key for key, *_ in said(checked(text % tags, protocols))] == ["book.model-without-tags"]
