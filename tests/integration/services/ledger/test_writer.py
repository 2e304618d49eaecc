"""Applying a book: all or nothing, positions that are never reused, one enterprise at a time."""

import asyncio
from collections.abc import Mapping
from datetime import date
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from muster.errors import RequestError
from muster.protocol import ProtocolInfo
from services import ledger
from services.ledger.edit import add_gateway, attest_device, change_device, retire_device, revoke_key
from services.ledger.problems import Report

Connection = AsyncConnection[TupleRow]
Protocols = Mapping[str, ProtocolInfo]
BOOK = """
enterprises: [{code: acme, name: Acme}, {code: other, name: Other}]
sites: [{enterprise: acme, code: hall, name: Hall}]
gateways: [{code: gw}, {code: gw-acme, enterprise: acme}]
models:
  - code: pump
    name: Pump
    protocol: modbus
    device_class: operating
    tags:
      - {name: speed, type: uint16, address: {register: 0}, unit: r/min}
      - {name: current, type: float32, address: {register: 10}, unit: A}
devices:
  - {enterprise: acme, site: hall, gateway: gw, model: pump, code: P-1, name: one,
     connection: {host: h, port: 1}}
  - {enterprise: acme, gateway: gw-acme, model: pump, code: P-2, name: two, connection: {host: h, port: 2}}
  - {enterprise: other, gateway: gw, model: pump, code: P-1, name: theirs, connection: {host: h, port: 3}}
"""
JPEG = b"\xff\xd8\xff\xe0 a photograph"


async def put(api: Connection, protocols: Protocols, text: str, **options: Any) -> Report:
    settings = {"dry_run": False, "actor": "tester", "scope": None} | options
    return await ledger.apply(api, ledger.load(text.encode(), "yaml", name="t.yaml"), protocols, **settings)


async def rows(connection: Connection, sql: str) -> list[Any]:
    return await (await connection.execute(sql)).fetchall()  # type: ignore[arg-type]


TAGS = """
select position, name, unit, retired_at is null from tag
where device = (select min(id) from device) order by position
"""


async def test_a_book_is_written_whole_and_again_changes_nothing(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    report = await put(api, protocols, BOOK)
    assert report.applied
    assert await rows(owner, "select code, name, endpoint, version > 0 from device order by id") == [
        ("P-1", "one", "h:1/1", True),
        ("P-2", "two", "h:2/1", True),
        ("P-1", "theirs", "h:3/1", True),
    ]
    assert await rows(owner, TAGS) == [(1, "speed", "r/min", True), (2, "current", "A", True)]
    before = await rows(owner, "select * from device_history")
    again = await put(api, protocols, BOOK)
    assert again.changes == []
    assert await rows(owner, "select * from device_history") == before
    assert len(before) == 3


async def test_a_dry_run_gives_the_same_plan_and_writes_nothing(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    plan = await put(api, protocols, BOOK, dry_run=True)
    assert not plan.applied
    assert await rows(owner, "select code from enterprise") == []
    assert (await put(api, protocols, BOOK)).changes == plan.changes


async def test_one_mistake_leaves_nothing_behind(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    report = await put(api, protocols, BOOK.replace("port: 3", "port: 0"))
    assert [(problem.key, problem.header) for problem in report.errors] == [
        ("book.protocol-refuses", "connection.port")
    ]
    for table in ("enterprise", "site", "gateway", "device_model", "device", "tag", "book_change"):
        assert await rows(owner, f"select * from {table}") == []


async def test_a_position_is_never_given_to_another_tag(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK)
    without = "tags: [{model: pump, name: current, type: float32, address: {register: 10}, unit: A}]"
    await put(api, protocols, without)
    assert await rows(owner, TAGS) == [(1, "speed", "r/min", False), (2, "current", "A", True)]
    await put(api, protocols, without.replace("[{", "[{model: pump, name: new, type: bool, address: {}}, {"))
    assert (await rows(owner, TAGS))[2] == (3, "new", "", True)


async def test_a_tag_that_comes_back_has_its_position_only_with_the_same_meaning(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK)
    for unit, found in (
        ("rpm", [(1, "speed", "r/min", False), (2, "current", "A", True), (3, "speed", "rpm", True)]),
        ("r/min", [(1, "speed", "r/min", True), (2, "current", "A", True), (3, "speed", "rpm", False)]),
        (
            "Hz",
            [
                (1, "speed", "r/min", False),
                (2, "current", "A", True),
                (3, "speed", "rpm", False),
                (4, "speed", "Hz", True),
            ],
        ),
    ):
        await put(api, protocols, BOOK.replace("unit: r/min", f"unit: {unit}"))
        assert await rows(owner, TAGS) == found


async def test_label_scale_and_limits_change_in_place_and_raise_the_version_once(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK)
    before = dict(await rows(owner, "select id, version from device"))
    await put(
        api, protocols, BOOK.replace("unit: A", "unit: A, label: Current, scale: 0.1, high: 5, writable: yes")
    )
    assert await rows(
        owner, "select distinct position, label, scale, high, writable from tag where name = 'current'"
    ) == [(2, "Current", 0.1, 5.0, True)]
    assert all(
        version > before[device] for device, version in await rows(owner, "select id, version from device")
    )
    assert await rows(owner, "select count(*) from device_history") == [(6,)]


async def test_a_tag_changed_by_hand_raises_its_devices_version(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK)
    before = await rows(owner, "select id, version from device order by id")
    await owner.execute("update tag set label = 'x' where device = %s and position = 1", (before[0][0],))
    after = await rows(owner, "select id, version from device order by id")
    assert after[0][1] > before[0][1]
    assert after[1:] == before[1:]


async def test_a_device_that_changes_its_model_changes_its_tags(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK)
    fan = """
models:
  - {code: fan, name: Fan, protocol: modbus, device_class: other, kind: fan,
     tags: [{name: hz, type: u, address: {}}]}
"""
    await put(api, protocols, fan + "\ndevices: [{enterprise: acme, code: P-1, model: fan}]")
    assert [row[1:] for row in await rows(owner, TAGS)] == [
        ("speed", "r/min", False),
        ("current", "A", False),
        ("hz", "", True),
    ]
    assert await rows(owner, "select device_class, kind from device order by id limit 1") == [
        ("other", "fan")
    ]


async def test_missing_devices_are_retired_only_when_asked(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK)
    less = "devices: [{enterprise: acme, code: P-1}]"
    await put(api, protocols, less)
    assert await rows(owner, "select count(*) from device where retired_at is not null") == [(0,)]
    report = await put(api, protocols, less, retire_missing=True)
    assert report.counts["devices"].retired == 1
    assert await rows(owner, "select code from device where retired_at is not null") == [("P-2",)]
    assert await rows(owner, "select retired from device_history order by recorded_at desc limit 1") == [
        (True,)
    ]
    assert await rows(owner, "select count(*) from device") == [(3,)]


async def test_a_retired_code_that_returns_is_a_new_device(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK)
    await retire_device(api, enterprise="acme", code="P-1", actor="tester", scope=None)
    report = await put(api, protocols, BOOK)
    assert [(change.code, change.action) for change in report.changes] == [("acme/P-1", "created")]
    assert await rows(owner, "select count(*), count(retired_at) from device where code = 'P-1'") == [(3, 1)]


async def test_the_same_machine_comes_back_under_its_old_number(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    text = BOOK.replace("name: one", "name: one, serial_number: S1")
    await put(api, protocols, text)
    await retire_device(api, enterprise="acme", code="P-1", actor="tester", scope=None)
    report = await put(api, protocols, text)
    assert [change.fields for change in report.changes] == [("retired",)]
    assert await rows(owner, "select count(*), count(retired_at) from device") == [(3, 0)]


async def test_an_import_of_one_enterprise_touches_no_other(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK)
    ((acme,),) = await rows(owner, "select id from enterprise where code = 'acme'")
    before = await rows(owner, "select * from device where code = 'P-1' and name = 'theirs'")
    forbidden = {
        "devices: [{enterprise: other, code: P-1, name: stolen}]": "book.outside-scope",
        "enterprises: [{code: other, name: renamed}]": "book.outside-scope",
        "enterprises: [{code: third, name: new}]": "book.outside-scope",
        "models: [{code: pump, interval_s: 60}]": "book.shared-not-yours",
        "gateways: [{code: gw, name: mine}]": "book.shared-not-yours",
        "gateways: [{code: gw, public_key: '%s='}]" % ("A" * 43): "book.shared-not-yours",
    }
    for text, key in forbidden.items():
        report = await put(api, protocols, text, scope=acme)
        assert [problem.key for problem in report.errors] == [key], text
    report = await put(
        api,
        protocols,
        "devices: [{enterprise: acme, code: P-1, name: mine}]",
        scope=acme,
        retire_missing=True,
    )
    assert report.applied
    assert report.counts["devices"].retired == 1
    assert await rows(owner, "select * from device where name = 'theirs'") == before


async def test_codes_taken_out_of_sight_are_refused_before_anything_is_written(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK + "# x")
    ((other,),) = await rows(owner, "select id from enterprise where code = 'other'")
    report = await put(api, protocols, "gateways: [{code: gw-acme}]", scope=other)
    assert [problem.key for problem in report.errors] == ["book.code-taken"]


async def test_the_database_itself_keeps_a_scope_to_its_enterprise(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK)
    ((acme, other),) = await rows(owner, "select min(id), max(id) from enterprise")
    async with api.transaction(force_rollback=True):
        await ledger.enter(api, acme)
        changed = await api.execute("update device set name = 'stolen' where enterprise = %s", (other,))
        assert changed.rowcount == 0
    key = "decode(repeat('00', 32), 'hex')"
    for statement in (
        f"insert into site (enterprise, code, name) values ({other}, 'x', 'x')",
        "insert into device (enterprise, code, name, device_class, protocol) "
        f"values ({other}, 'x', 'x', 'other', '')",
        "insert into gateway (code, name) values ('x', 'x')",
        f"insert into gateway_key (gateway, public_key) select id, {key} from gateway where code = 'gw'",
        f"insert into book_change (enterprise, actor, action, counts) values ({other}, 'x', 'x', '{{}}')",
    ):
        await refused(api, acme, statement)


async def refused(api: Connection, scope: int, statement: str) -> None:
    """The database refuses the statement within the scope."""
    async with api.transaction(force_rollback=True):
        await ledger.enter(api, scope)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await api.execute(statement)  # type: ignore[arg-type]


async def test_who_changed_the_book_is_written_down_and_stays(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK, actor="lin")
    ((actor, action, source, sha256, counts),) = await rows(
        owner, "select actor, action, source, length(sha256), counts from book_change"
    )
    assert (actor, action, source, sha256) == ("lin", "import", "t.yaml", 32)
    assert counts["devices"]["created"] == 3
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await owner.execute("delete from book_change")


async def test_two_imports_at_once_follow_one_another(
    database: Any, api: Connection, owner: Connection, protocols: Protocols
) -> None:
    second = await psycopg.AsyncConnection.connect(database.api, autocommit=True)
    try:
        reports = await asyncio.gather(put(api, protocols, BOOK), put(second, protocols, BOOK))
    finally:
        await second.close()
    assert sorted(len(report.changes) for report in reports) == [0, 9]
    assert await rows(owner, "select count(*) from device") == [(3,)]


async def test_an_export_is_imported_again_without_a_change(api: Connection, protocols: Protocols) -> None:
    await put(api, protocols, BOOK)
    await attest(api, protocols, real=True)
    for name in ("b.yaml", "b.xlsx", "b.csv"):
        data = await ledger.export(api, name.rpartition(".")[2], None)  # type: ignore[arg-type]
        book = ledger.load(data, name=name, sheet="devices")
        report = await ledger.apply(api, book, protocols, dry_run=False, actor="t", scope=None)
        assert [problem.say("en") for problem in report.errors] == []
        assert report.changes == []


async def test_an_enterprises_export_holds_nothing_of_others(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK)
    ((other,),) = await rows(owner, "select id from enterprise where code = 'other'")
    text = (await ledger.export(api, "yaml", other)).decode()
    assert "theirs" in text
    assert "acme" not in text


async def attest(api: Connection, protocols: Protocols, **changes: Any) -> Report:
    facts: dict[str, Any] = {
        "enterprise": "acme",
        "code": "P-1",
        "serial_number": "S1",
        "nameplate": JPEG,
        "attested_by": "Lin",
        "attested_on": date(2026, 1, 2),
        "real": False,
        "actor": "lin",
        "scope": None,
    }
    return await attest_device(api, protocols, **(facts | changes))


async def test_an_attestation_makes_a_device_real_and_is_never_altered(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK)
    report = await put(api, protocols, "devices: [{enterprise: acme, code: P-1, origin: real}]")
    assert [problem.key for problem in report.errors] == ["book.origin-needs-attestation"]
    assert (await attest(api, protocols, real=True)).applied
    assert await rows(owner, "select origin, serial_number from device order by id limit 1") == [
        ("real", "S1")
    ]
    assert await rows(owner, "select attested_by, nameplate from attestation") == [("Lin", JPEG)]
    await attest(api, protocols, real=True)
    assert await rows(owner, "select count(*) from attestation") == [(1,)]


async def test_a_device_may_be_new_and_real_in_one_book(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    attested = (
        "name: one, serial_number: S1, origin: real, attestation: {attested_by: Lin, "
        "attested_on: 2026-01-02, nameplate: 'data:image/jpeg;base64,/9j/AAAA'}"
    )
    report = await put(api, protocols, BOOK.replace("name: one", attested))
    assert report.applied
    assert await rows(owner, "select code, origin from device where origin = 'real'") == [("P-1", "real")]


async def test_an_attestation_that_is_wrong_is_refused(api: Connection, protocols: Protocols) -> None:
    await put(api, protocols, BOOK)
    with pytest.raises(RequestError):
        await attest(api, protocols, nameplate=b"no image")
    with pytest.raises(RequestError):
        await attest(api, protocols, code="nothing")
    report = await attest(api, protocols, attested_on=date(2999, 1, 1), real=True)
    assert [problem.key for problem in report.errors] == ["book.attested-in-future"]


async def test_a_single_edit_changes_one_field(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK)

    async def change(**changes: Any) -> Report:
        return await change_device(
            api, protocols, enterprise="acme", code="P-1", changes=changes, actor="t", scope=None
        )

    report = await change(name="renamed", interval_s=5, connection={"host": "h", "port": 9})
    assert report.changes[0].fields == ("name", "interval_s", "connection", "endpoint")
    assert (await change(connection={"host": "h", "port": 0})).errors[0].header == "connection.port"
    assert (await change(gateway="none")).errors[0].key == "book.unknown-gateway"
    for wrong in ({"colour": "red"}, {"interval_s": "fast"}, {"code": "x"}):
        with pytest.raises(RequestError):
            await change(**wrong)
    with pytest.raises(RequestError, match="no device"):
        await change_device(api, protocols, enterprise="acme", code="X", changes={}, actor="t", scope=None)
    assert await rows(owner, "select name, interval_s from device order by id limit 1") == [("renamed", 5.0)]


async def test_a_single_edit_reaches_no_other_enterprises_device(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK)
    ((other,),) = await rows(owner, "select id from enterprise where code = 'other'")
    with pytest.raises(RequestError, match="no device"):
        await change_device(
            api, protocols, enterprise="acme", code="P-1", changes={"name": "x"}, actor="t", scope=other
        )
    with pytest.raises(RequestError, match="no device"):
        await retire_device(api, enterprise="acme", code="P-2", actor="t", scope=other)


async def test_a_gateway_is_enrolled_with_its_key_and_the_key_revoked(
    api: Connection, owner: Connection
) -> None:
    key = bytes(range(32))
    report = await add_gateway(api, code="g", name="G", public_key=key, actor="t", scope=None)
    assert report.applied
    assert (await add_gateway(api, code="g", public_key=key, actor="t", scope=None)).changes == []
    keys = "select public_key, revoked_at is null from gateway_key"
    assert await rows(owner, keys) == [(key, True)]
    await revoke_key(api, gateway="g", public_key=key, actor="t", scope=None)
    assert await rows(owner, keys) == [(key, False)]
    with pytest.raises(RequestError, match="no such key"):
        await revoke_key(api, gateway="g", public_key=key, actor="t", scope=None)
    report = await add_gateway(api, code="g", public_key=key, actor="t", scope=None)
    assert [problem.key for problem in report.errors] == ["book.public-key-revoked"]
    assert await rows(owner, keys) == [(key, False)]
