"""A session of one enterprise sees nothing of another, in any table, view or function, whatever it asks."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from tests.conftest import Database
from tests.integration.ingest.pretend import Installation

MARK = "zwei"
"""Stands in everything that belongs to the second enterprise, and in nothing else."""

DEVICE_TABLES = {"reading", "text_reading", "device_scan", "latest_scan", "latest_reading", "latest_text"}


@pytest.fixture
def two(database: Database) -> Iterator[Installation]:
    """Two enterprises with everything that can be stored of them."""
    made = Installation.make(database.owner, gateways=2, devices=2, tags=2, enterprises=2)
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute("update enterprise set name = %s, code = %s where id = 2", (MARK, MARK))
        owner.execute("update gateway set name = %s, code = %s where enterprise = 2", (MARK, MARK))
        owner.execute("update device set name = %s || id where enterprise = 2", (MARK,))
        owner.execute("update tag set label = %s where enterprise = 2", (MARK,))
        for enterprise, gateway in zip((1, 2), made.gateways, strict=True):
            word = MARK if enterprise == 2 else "eins"
            device = made.devices[gateway][0]
            given = {"e": enterprise, "g": gateway, "d": device, "w": word}
            for statement in (
                "insert into site (enterprise, code, name) values (%(e)s, %(w)s, %(w)s)",
                "insert into device_model (enterprise, code, name, protocol, device_class, tags)"
                " values (%(e)s, %(w)s, %(w)s, 'modbus', 'operating', '[]')",
                "insert into attestation (enterprise, device, serial_number, nameplate, nameplate_sha256,"
                " attested_by, attested_on) values (%(e)s, %(d)s, %(w)s, '', '', %(w)s, '2026-01-01')",
                "insert into gap (enterprise, gateway, device, from_time, to_time, reason)"
                " values (%(e)s, %(g)s, %(d)s, now(), now(), %(w)s)",
                "insert into quarantine (enterprise, gateway, partition, stream_sequence, reason, body)"
                " values (%(e)s, %(g)s, 0, 1, %(w)s, '')",
                "insert into identity (enterprise, device, gateway, observed_at, evidence, digest)"
                " values (%(e)s, %(d)s, %(g)s, now(), to_jsonb(%(w)s::text), '')",
                "insert into session (enterprise, device, gateway, epoch, opened_at, reason, recorded_at)"
                " values (%(e)s, %(d)s, %(g)s, 1, now(), %(w)s, now())",
                "insert into presence values (%(d)s, %(e)s, %(g)s, 1, now(), 4, %(w)s, now())",
                "insert into watch values (%(e)s, 1, %(e)s, %(g)s, 0, 1, now(), now(), now(), now(), true)",
                "insert into gateway_position values (%(g)s, 0, 1, 1, now())",
                "insert into batch values (1, %(g)s, 0, 1, 1, 1, now(), 1, 1, convert_to(%(w)s, 'UTF8'), '')",
                "insert into scan values (%(d)s, now(), now(), '{1,2}', null, 1)",
                "insert into reading_text values (%(d)s, 1, now(), now(), %(w)s, 0, 1)",
                "insert into rollup_minute values (%(d)s, now(), '{1}', '{1}', '{1}', '{1}', '{1}', '{1}')",
                "insert into rollup_hour values (%(d)s, now(), '{1}', '{1}', '{1}', '{1}', '{1}', '{1}')",
            ):
                owner.execute(statement, given)
        owner.execute("create role reader_one login password 'x' in role muster_reader")
        owner.execute("insert into reader values ('reader_one', 1)")
        yield made
        owner.execute("drop role reader_one")


def readable(connection: Connection[TupleRow]) -> list[str]:
    rows = connection.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace"
        " and relkind in ('r', 'p', 'v', 'm') and has_table_privilege(oid, 'select') order by relname"
    ).fetchall()
    return [name for (name,) in rows]


def as_api(database: Database, enterprise: str | None) -> Connection[TupleRow]:
    connection = psycopg.connect(database.api)
    if enterprise is not None:
        connection.execute("select set_config('muster.enterprise', %s, true)", (enterprise,))
    return connection


def content(connection: Connection[TupleRow], relation: str) -> list[str]:
    query = sql.SQL("select t::text from {} t").format(sql.Identifier(relation))
    return [text for (text,) in connection.execute(query).fetchall()]


def assert_nothing_of_the_second(connection: Connection[TupleRow], two: Installation) -> None:
    seen = 0
    for relation in readable(connection):
        for text in content(connection, relation):
            assert MARK not in text, relation
            seen += 1
        if relation in DEVICE_TABLES | {"rollup", "rollup_hourly", "presence", "tag"}:
            query = sql.SQL("select distinct device from {}").format(sql.Identifier(relation))
            devices = {device for (device,) in connection.execute(query).fetchall()}
            assert devices <= set(two.devices[two.gateways[0]]), relation
            assert devices, relation
        if relation in {"gateway_position", "watch", "gateway_key", "received_batch", "session"}:
            query = sql.SQL("select distinct gateway from {}").format(sql.Identifier(relation))
            assert connection.execute(query).fetchall() == [(two.gateways[0],)], relation
    assert seen


def test_an_api_session_sees_its_enterprise_only(two: Installation, database: Database) -> None:
    with as_api(database, "1") as connection:
        assert_nothing_of_the_second(connection, two)


def test_a_reader_role_sees_its_enterprise_only(two: Installation, database: Database) -> None:
    dsn = psycopg.conninfo.make_conninfo(database.api, user="reader_one", password="x")
    with psycopg.connect(dsn) as connection:
        connection.execute("select set_config('muster.enterprise', 'all', false)")
        assert_nothing_of_the_second(connection, two)


@pytest.mark.parametrize("said", [None, "", "0", "-1", "3"])
def test_a_session_that_names_no_enterprise_sees_none(
    two: Installation, database: Database, said: str | None
) -> None:
    with as_api(database, said) as connection:
        for relation in DEVICE_TABLES | {"device", "enterprise", "presence", "gap", "quarantine", "session"}:
            assert content(connection, relation) == [], relation


def test_the_setting_ends_with_its_transaction(two: Installation, database: Database) -> None:
    with psycopg.connect(database.api, autocommit=True) as connection:
        with connection.transaction():
            connection.execute("select set_config('muster.enterprise', '1', true)")
            assert content(connection, "device")
        assert content(connection, "device") == []


def test_all_and_several_enterprises_can_be_named(two: Installation, database: Database) -> None:
    for said in ("all", "1,2"):
        with as_api(database, said) as connection:
            assert len(content(connection, "device")) == 4
            assert len(content(connection, "gap")) == 2


@pytest.mark.parametrize("said", ["1) or true --", "'; drop table scan; --", "{(,)}", "1,x", "ALL", "all,1"])
def test_sql_in_the_setting_gives_no_rows(two: Installation, database: Database, said: str) -> None:
    with as_api(database, said) as connection, pytest.raises(psycopg.DataError):
        content(connection, "device")


def test_a_leaky_function_in_a_filter_sees_no_foreign_row(two: Installation, database: Database) -> None:
    heard: list[str] = []
    with as_api(database, "1") as connection:
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
        connection.execute(
            "create function pg_temp.leak(text) returns boolean language plpgsql cost 0.0000001 as"
            " $$ begin raise notice '%', $1; return true; end $$"
        )
        for relation in readable(connection):
            query = sql.SQL("select count(*) from {} t where pg_temp.leak(t::text)")
            connection.execute(query.format(sql.Identifier(relation)))
    assert heard
    assert not [text for text in heard if MARK in text]


def test_a_session_writes_its_own_enterprise_only(two: Installation, database: Database) -> None:
    one, other = two.gateways
    foreign = two.devices[other][0]
    mine = two.devices[one][0]
    for statement in (
        "insert into site (enterprise, code, name) values (2, 'x', 'x')",
        "insert into gateway (enterprise, code, name) values (null, 'x', 'x')",
        "insert into device_model (enterprise, code, name, protocol, device_class, tags)"
        " values (null, 'x', 'x', 'm', 'other', '[]')",
        f"update device set gateway = {other} where id = {mine}",
        f"update device set site = (select max(id) from site) + 0, enterprise = 2 where id = {mine}",
        "insert into gap (enterprise, from_time, to_time, reason) values (1, now(), now(), 'x')",
        f"insert into tag (device, position, enterprise, name, type, address)"
        f" values ({foreign}, 9, 1, 'x', 'x', '{{}}')",
        "delete from device",
        "update presence set state = 0",
        "copy scan from stdin",
    ):
        with as_api(database, "1") as connection, pytest.raises(psycopg.Error):
            connection.execute(statement.encode())
    with as_api(database, "1") as connection:
        assert connection.execute(f"update device set name = 'x' where id = {foreign}".encode()).rowcount == 0


def test_a_shared_gateway_is_seen_by_each_and_changed_by_none(two: Installation, database: Database) -> None:
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute("insert into gateway (code, name) values ('shared', 'shared')")
        owner.execute(
            "insert into gap (gateway, from_time, to_time, reason) select id, now(), now(), 'shared'"
            " from gateway where code = 'shared'"
        )
    with as_api(database, "1") as connection:
        assert connection.execute("select count(*) from gateway").fetchone() == (2,)
        assert connection.execute("select count(*) from gap where reason = 'shared'").fetchone() == (1,)
        assert connection.execute("update gateway set name = 'x' where code = 'shared'").rowcount == 0


def test_evidence_is_never_changed_or_deleted_even_by_the_owner(
    two: Installation, database: Database
) -> None:
    for table in ("presence", "gap", "identity", "attestation", "device_history"):
        for statement in (f"delete from {table}", f"update {table} set enterprise = 1"):
            with (
                psycopg.connect(database.owner) as owner,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                owner.execute(statement.encode())
    for statement in (
        "update watch set valid_to = valid_to - interval '1s'",
        "update session set device = 2",
    ):
        with psycopg.connect(database.owner) as owner, pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute(statement.encode())


def test_whom_a_session_may_see_is_found_once_per_statement(two: Installation, database: Database) -> None:
    with as_api(database, "1") as connection:
        for relation in ("device", "reading", "presence", "gap"):
            query = sql.SQL("explain (verbose) select * from {}").format(sql.Identifier(relation))
            plan = "\n".join(line for (line,) in connection.execute(query).fetchall())
            outside = [
                line
                for line in plan.splitlines()
                if "permitted_enterprises()" in line and "Output:" not in line
            ]
            assert "InitPlan" in plan, relation
            assert not [line for line in outside if "Filter" in line], plan


def test_a_reading_is_one_index_scan(two: Installation, database: Database) -> None:
    device = two.devices[two.gateways[0]][0]
    with as_api(database, "1") as connection:
        connection.execute("set local enable_seqscan = off")
        plan = connection.execute(
            "explain select * from reading where device = %s and tag = 't1' and time >= now() - interval '1 hour'",
            (device,),
        ).fetchall()
    assert "Index Cond: ((device = " in "\n".join(line for (line,) in plan)
