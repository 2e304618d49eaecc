"""One enterprise at a time: no book, edit or export reaches another's, and the database itself holds that line."""

import base64

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from muster.errors import RequestError
from services import ledger
from services.ledger.edit import change_device, retire_device
from tests.integration.services.ledger.books import BOOK, Connection, Protocols, put, rows

KEY = base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()


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
        f"gateways: [{{code: gw, public_key: '{KEY}'}}]": "book.shared-not-yours",
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


async def test_an_enterprises_export_holds_nothing_of_others(
    api: Connection, owner: Connection, protocols: Protocols
) -> None:
    await put(api, protocols, BOOK)
    ((other,),) = await rows(owner, "select id from enterprise where code = 'other'")
    text = (await ledger.export(api, "yaml", other)).decode()
    assert "theirs" in text
    assert "acme" not in text


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
