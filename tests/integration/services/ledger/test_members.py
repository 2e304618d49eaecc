"""Gateways of several processes in the book: who belongs together, what is pinned, who holds and held what."""

from pathlib import Path

import msgspec
import psycopg
import pytest

from deploy.protocols import protocol_infos
from muster.errors import RequestError
from services import ledger
from services.ledger.edit import add_gateway
from services.ledger.members import holders, members_of, pin, set_members, waiting
from simulators import pollcounter
from store.connection import connected
from tests.conftest import Database

SEAT = "update device set held_by = (select id from gateway where code = %s), held_term = %s where code = %s"


async def register(database: Database, tmp_path: Path) -> None:
    async with connected(database.api, "test") as session:
        for code in ("gw", "gw.2", "other"):
            assert (await add_gateway(session, code=code, actor="test", scope=None)).ok
        book = tmp_path / "book.yaml"
        book.write_bytes(msgspec.json.encode(pollcounter.book(4, "127.0.0.1", [5020], "gw", 1.0)))
        report = await ledger.apply(
            session,
            ledger.load(book),
            protocol_infos(),
            dry_run=False,
            actor="test",
            scope=None,
        )
        assert report.ok, report.errors


async def test_processes_join_and_leave_and_what_they_held_waits(database: Database, tmp_path: Path) -> None:
    await register(database, tmp_path)
    async with connected(database.api, "test") as session:
        assert not await set_members(session, "gw", [], [])
        assert await waiting(session) == 0
        assert await set_members(session, "gw", ["gw.2"], [])
        assert await members_of(session, "gw") == ["gw.2"]
        assert await waiting(session) == 4
        with psycopg.connect(database.owner) as owner:
            for code in ("C-0001", "C-0002", "C-0003"):
                owner.execute(SEAT, ("gw.2", 7, code))
            owner.execute(SEAT, ("gw", 7, "C-0004"))
        assert await waiting(session) == 0
        found = {one.code: (one.head, one.devices) for one in await holders(session)}
        assert found == {"gw": ("gw", 1), "gw.2": ("gw", 3), "other": ("other", 0)}
        assert not await set_members(session, "gw", [], ["gw.2"])
        assert await waiting(session) == 0
        found = {one.code: (one.head, one.devices) for one in await holders(session)}
        assert found == {"gw": ("gw", 4), "gw.2": ("gw.2", 0), "other": ("other", 0)}


async def test_a_device_is_pinned_to_a_process_of_its_own_gateway_only(
    database: Database, tmp_path: Path
) -> None:
    await register(database, tmp_path)
    async with connected(database.api, "test") as session:
        await set_members(session, "gw", ["gw.2"], [])
        assert sorted(await pin(session, "gw.2", ["C-0001", "C-0002"], "test")) == ["C-0001", "C-0002"]
        for process, device in (("other", "C-0001"), ("gw.2", "C-9999"), ("nobody", "C-0003")):
            with pytest.raises(RequestError):
                await pin(session, process, [device], "test")
        assert await pin(session, None, ["C-0001"], "test") == ["C-0001"]
    with psycopg.connect(database.owner) as owner:
        rows = owner.execute(
            "select d.code from device d join gateway g on g.id = d.pinned_to where g.code = 'gw.2'"
        ).fetchall()
        assert rows == [("C-0002",)]
        entries = owner.execute("select count(*) from book_change where action = 'pin'").fetchone()
        assert entries == (2,)


async def test_history_names_the_process_that_held_a_device_and_a_new_gateway_takes_it_away(
    database: Database, tmp_path: Path
) -> None:
    await register(database, tmp_path)
    with psycopg.connect(database.owner) as owner:
        owner.execute(SEAT, ("gw.2", 7, "C-0001"))
    with psycopg.connect(database.owner) as owner:
        owner.execute(
            "update device set gateway = (select id from gateway where code = 'other') where code = 'C-0001'"
        )
        assert owner.execute("select held_by, held_term from device where code = 'C-0001'").fetchone() == (
            None,
            None,
        )
        history = owner.execute(
            "select g.code from device_history h join gateway g on g.id = h.gateway"
            " join device d on d.id = h.device where d.code = 'C-0001' order by h.version"
        ).fetchall()
    assert [code for (code,) in history][-2:] == ["gw.2", "other"]
    assert history[0] == ("gw",)
