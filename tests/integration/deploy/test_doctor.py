"""What the doctor finds on a real database and bus; a gateway's part is played."""

from typing import Any

import psycopg
from nats.aio.client import Client

from bus import subjects
from bus.connection import answer, ensure_stream
from deploy.doctor import Finding, examine, refused_to
from deploy.layout import Layout
from deploy.postgres import CACHE_OF_A_DEVICE
from deploy.running import connections
from store.connection import connected
from tests.conftest import Database
from tests.integration.deploy.test_cli_device import installation

__all__ = ["installation"]
THUMBPRINT = "6F1A0C3B5D7E9F1A2B3C4D5E6F708192A3B4C5D6"


async def gateway(bus: Client, outbox_bytes: int, certificates: list[dict[str, Any]]) -> None:
    async def diagnostics(_: dict[str, Any]) -> dict[str, Any]:
        return {"gateway": {"outbox_bytes": outbox_bytes, "outbox_limit_bytes": 1000}}

    async def shown(question: dict[str, Any]) -> dict[str, Any]:
        return {"certificates": certificates if question["protocol"] == "opcua" else []}

    await ensure_stream(bus.jetstream(), 2**24)
    await answer(bus, subjects.request(1, "diagnostics"), diagnostics)
    await answer(bus, subjects.request(1, "certificates"), shown)
    await bus.flush()


async def found(layout: Layout) -> dict[str, Finding]:
    return {finding.key: finding for finding in await examine(layout)}


async def test_a_filling_outbox_and_a_waiting_certificate_are_found(
    bus: Client, installation: Layout
) -> None:
    waiting = {"subject": "CN=pump", "endpoint": "opc.tcp://192.0.2.10:4840", "thumbprint": THUMBPRINT}
    await gateway(bus, 500, [{**waiting, "state": "waiting"}, {**waiting, "state": "trusted"}])
    told = await found(installation)
    assert not told["doctor.outbox"].well
    assert "50%" in told["doctor.outbox"].says("zh-CN")
    assert not told["doctor.certificate-waiting"].well
    assert f"muster certificate trust {THUMBPRINT} --gateway line-1" in told[
        "doctor.certificate-waiting"
    ].remedy("en")
    assert told["doctor.stream"].well


async def test_what_is_well_is_said_to_be_well(bus: Client, installation: Layout) -> None:
    await gateway(bus, 499, [])
    told = await found(installation)
    assert told["doctor.outbox"].well
    assert "doctor.certificate-waiting" not in told


async def test_a_gateway_that_does_not_answer_hides_nothing_else(bus: Client, installation: Layout) -> None:
    await ensure_stream(bus.jetstream(), 2**24)
    told = await found(installation)
    assert told["doctor.stream"].well
    assert not told["doctor.gateway-never"].well
    assert "doctor.outbox" not in told


async def test_a_cache_too_small_for_the_devices_is_found_with_what_they_need(
    bus: Client, installation: Layout
) -> None:
    await gateway(bus, 0, [])
    with psycopg.connect(connections(installation).owner) as session:
        (cache_bytes,) = one(session, "select pg_size_bytes(current_setting('shared_buffers'))")
        (there,) = one(session, "select count(*) from device where retired_at is null")
        (enterprise,) = one(
            session, "insert into enterprise (code, name) values ('many', 'many') returning id"
        )
        fits = cache_bytes // CACHE_OF_A_DEVICE - there
        more = """
            insert into device (enterprise, code, name, device_class, protocol)
            select %s, 'many-' || n, 'many', 'operating', 'modbus' from generate_series(%s::int, %s) n"""
        session.execute(more, (enterprise, 1, fits))
        session.commit()
        assert "doctor.cache-small" not in await found(installation)
        session.execute(more, (enterprise, fits + 1, fits + 100))
    told = (await found(installation))["doctor.cache-small"]
    assert not told.well
    assert f"{told.facts['needed_mb']} MB" in told.remedy("zh-CN")
    assert told.facts["needed_mb"] << 20 > cache_bytes


async def test_an_owner_who_may_make_no_temporary_tables_is_found(database: Database) -> None:
    async with connected(database.owner, "test") as session, session.transaction(force_rollback=True):
        assert await refused_to(session) == []
        name = session.info.dbname
        await session.execute(f'revoke temporary on database "{name}" from public'.encode())
        await session.execute("set local role muster_api")
        (told,) = await refused_to(session)
    assert not told.well
    assert f"GRANT TEMPORARY ON DATABASE {name} TO muster_api" in told.remedy("en")


def one(session: psycopg.Connection[Any], query: str) -> tuple[Any, ...]:
    row = session.execute(query.encode()).fetchone()
    assert row is not None
    return row
