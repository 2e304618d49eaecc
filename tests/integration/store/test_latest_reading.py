"""The views of the newest scans and readings give what asking for each device and tag by itself gives."""

import random
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.conftest import Database

TAGS = 6
RECENT_S = (-86401, -86400, -3600, -61, -60, -59, -1, 0, 1, 86399, 86400, 86401)
"""Around the borders of what the views look at first and at all."""
ONE_BY_ONE = """
select tag.device, tag.position, newest.time, newest.received, newest.value, newest.quality, newest.batch
from tag
cross join lateral (
    select scan.time, scan.received, scan.value[tag.position] as value,
           coalesce(scan.quality[tag.position], 0)::smallint as quality, scan.batch
    from any_scan scan
    where scan.device = tag.device and scan.time between now() - interval '1 day' and now() + interval '1 day'
      and (scan.value[tag.position] is not null or scan.quality[tag.position] <> 0)
    order by scan.time desc limit 1
) newest
where tag.retired_at is null
order by tag.device, tag.position
"""
SCANS_ONE_BY_ONE = """
select device.id, newest.time, newest.received, newest.value, newest.quality, newest.batch
from device
cross join lateral (
    select * from any_scan scan where scan.device = device.id and scan.time < now() + interval '1 day'
    order by scan.time desc limit 1
) newest
order by device.id
"""
SCANS_VIEWED = "select device, time, received, value, quality, batch from latest_scan order by device"
VIEWED = "select device, position, time, received, value, quality, batch from latest_reading order by device, position"


@pytest.mark.parametrize("seed", range(8))
def test_the_newest_reading_is_found_whichever_scan_holds_it(database: Database, seed: int) -> None:
    draw = random.Random(seed)
    with psycopg.connect(database.owner) as session:
        session.execute("insert into enterprise (code, name) values ('e', 'e')")
        session.execute("insert into gateway (code, name) values ('g', 'g')")
        for device in range(1, 6):
            session.execute(
                "insert into device (enterprise, gateway, code, name, device_class, protocol)"
                " values (1, 1, %s, 'd', 'other', 'modbus')",
                (f"D-{device}",),
            )
            for position in range(1, TAGS + 1):
                session.execute(
                    "insert into tag (device, position, enterprise, name, type, address, retired_at)"
                    " values (%s, %s, 1, %s, 'float64', '{}', case when %s then now() end)",
                    (device, position, f"t{position}", draw.random() < 0.1),
                )
            old = [3600 * hours for hours in draw.sample(range(-60, 40), draw.choice([0, 1, 5, 20]))]
            for seconds in {*old, *draw.sample(RECENT_S, draw.choice([0, 1, 4]))}:
                held = draw.randint(1, TAGS)
                values = [draw.choice([None, draw.uniform(-9, 9)]) for _ in range(held)]
                qualities = draw.choice([None, [draw.choice([None, 0, 0, 5]) for _ in range(held)]])
                session.execute(
                    "insert into scan"
                    " values (%s, now() + %s * interval '1 second', now(), %s::float8[], %s::smallint[], 1)",
                    (device, seconds, values, qualities),
                )
        expected = session.execute(ONE_BY_ONE).fetchall()
        assert session.execute(VIEWED).fetchall() == expected
        assert session.execute(SCANS_VIEWED).fetchall() == session.execute(SCANS_ONE_BY_ONE).fetchall()


@pytest.mark.parametrize("view", ["latest_reading", "latest_scan"])
def test_a_device_that_was_just_read_is_looked_for_in_the_last_minute_only(
    database: Database, view: LiteralString
) -> None:
    with psycopg.connect(database.owner) as session:
        session.execute("insert into enterprise (code, name) values ('e', 'e')")
        session.execute(
            "insert into device (enterprise, code, name, device_class, protocol)"
            " values (1, 'D', 'd', 'other', 'modbus')"
        )
        session.execute(
            "insert into tag (device, position, enterprise, name, type, address) values (1, 1, 1, 't', 'float64', '{}')"
        )
        session.execute("insert into scan values (1, now(), now(), '{1}', null, 1)")
        plan = "explain (analyze, format json, costs off) select * from "
        assert _ran(session, plan + view) == [True, False]
        session.execute("delete from scan")
        session.execute("insert into scan values (1, now() - interval '2 hours', now(), '{1}', null, 1)")
        assert _ran(session, plan + view) == [True, True]


def _ran(session: psycopg.Connection[TupleRow], statement: LiteralString) -> list[bool]:
    """Return of each part of the union that looks for the newest scan whether it was executed."""
    row = session.execute(statement).fetchone()
    assert row is not None
    found: list[list[bool]] = []

    def look(node: dict[str, Any]) -> None:
        parts = node.get("Plans", [])
        if node["Node Type"] == "Append" and [part["Node Type"] for part in parts] == ["Limit", "Limit"]:
            found.append([part["Actual Loops"] > 0 for part in parts])
        for part in parts:
            look(part)

    look(row[0][0]["Plan"])
    assert len(found) == 1
    return found[0]
