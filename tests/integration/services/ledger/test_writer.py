"""Applying a book: all or nothing, positions that are never reused, single edits."""

import asyncio
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from muster.errors import RequestError
from services import ledger
from services.ledger.edit import add_gateway, change_device, retire_device, revoke_key
from services.ledger.problems import Report
from tests.integration.services.ledger.books import BOOK, TAGS, Connection, Protocols, attest, put, rows


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


async def test_a_device_whose_positions_are_used_up_is_told_how_many_there_are(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK)
    await owner.execute(
        "insert into tag (device, position, enterprise, name, type, address, retired_at)"
        " select id, 32767, enterprise, 'last', 'bool', '{}', now() from device"
    )
    with pytest.raises(RequestError, match="32767") as refused:
        await put(api, protocols, BOOK.replace("unit: r/min", "unit: rpm"))
    assert refused.value.code == "positions-used-up"
    assert (await rows(owner, TAGS))[0] == (1, "speed", "r/min", True)


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


async def test_a_gateway_is_enrolled_with_its_key_and_the_key_revoked(
    api: Connection, owner: Connection
) -> None:
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
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
