"""The view of the newest readings gives what asking for each tag by itself gives."""

import random

import psycopg
import pytest

from tests.conftest import Database

TAGS = 6
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
            for hours in draw.sample(range(-60, 40), draw.choice([0, 1, 5, 20])):
                held = draw.randint(1, TAGS)
                values = [draw.choice([None, draw.uniform(-9, 9)]) for _ in range(held)]
                qualities = draw.choice([None, [draw.choice([None, 0, 0, 5]) for _ in range(held)]])
                session.execute(
                    "insert into scan"
                    " values (%s, now() + %s * interval '1 hour', now(), %s::float8[], %s::smallint[], 1)",
                    (device, hours, values, qualities),
                )
        expected = session.execute(ONE_BY_ONE).fetchall()
        assert session.execute(VIEWED).fetchall() == expected
