"""Devices, their presence and their readings over HTTP."""

import itertools
import math
from datetime import datetime, timedelta
from typing import Any

import httpx

from tests.integration.api.plant import Plant

DEVICES = "/api/v1/devices"


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_devices_come_in_pages_and_by_filter(operator: httpx.AsyncClient, plant: Plant) -> None:
    seen, cursor = [], None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = await get(operator, DEVICES, **query)
        seen += [device["id"] for device in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [1, 2, 3, 4]
    plant.run("update device set retired_at = now() where id = 4")
    for query, expected in (
        ({"state": ["offline", "linked"]}, [3]),
        ({"state": "connected"}, [1, 2]),
        ({"protocol": "Modbus"}, [1, 2, 3]),
        ({"protocol": "s7"}, []),
        ({"origin": "real"}, [2]),
        ({"gateway": "own", "site": "hall"}, [1, 2, 3]),
        ({"device_class": "mobile"}, []),
        ({"q": "循环"}, [1, 2]),
        ({"retired": "true"}, [4]),
    ):
        found = await get(operator, DEVICES, **query)
        assert [device["id"] for device in found["items"]] == expected, query


async def test_a_device_tells_everything_but_its_secrets(operator: httpx.AsyncClient) -> None:
    device = await get(operator, f"{DEVICES}/2")
    assert device["name"] == "2号循环水泵"
    assert (device["origin"], device["ledger_origin"], device["state"]) == ("real", "real", "connected")
    assert device["connection"] == {"host": "192.0.2.1", "password": "…"}
    assert device["attestations"][0]["attested_by"] == "王工"
    assert device["window_s"] == 10.0


async def test_what_a_device_says_it_is_outweighs_the_ledger(
    operator: httpx.AsyncClient, plant: Plant
) -> None:
    plant.run(
        """insert into identity (enterprise, device, gateway, observed_at, origin, evidence, digest)
        values (1, 2, 1, now(), 'simulated', '{"vendor": "仿真"}', '')""",
        role="ingest",
    )
    device = await get(operator, f"{DEVICES}/2")
    assert (device["origin"], device["ledger_origin"], device["identity_origin"]) == (
        "simulated",
        "real",
        "simulated",
    )
    assert device["identity"]["evidence"] == {"vendor": "仿真"}
    assert [d["id"] for d in (await get(operator, DEVICES, origin="real"))["items"]] == []


async def test_an_unchanged_device_is_not_sent_again(operator: httpx.AsyncClient, plant: Plant) -> None:
    first = await operator.get(f"{DEVICES}/1")
    tag = first.headers["etag"]
    again = await operator.get(f"{DEVICES}/1", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    plant.run("update device set name = '改名' where id = 1")
    changed = await operator.get(f"{DEVICES}/1", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["name"]) == (200, "改名")


async def test_presence_has_no_holes(operator: httpx.AsyncClient, plant: Plant) -> None:
    start = plant.now - timedelta(hours=3)
    body = await get(operator, f"{DEVICES}/3/presence", **{"from": start.isoformat()})
    intervals = body["intervals"]
    assert [(each["state"], each["reason"]) for each in intervals] == [
        ("unobserved", "not-registered"),
        ("unobserved", "not-yet-observed"),
        ("offline", "timeout"),
    ]
    assert datetime.fromisoformat(intervals[0]["from_time"]) == start
    assert all(a["to_time"] == b["from_time"] for a, b in itertools.pairwise(intervals))
    assert intervals[-1]["to_time"] == body["to_time"]


async def test_readings_come_in_pages_with_what_json_cannot_hold_as_words(
    operator: httpx.AsyncClient, plant: Plant
) -> None:
    values = [1.5, math.nan, math.inf, -math.inf, 0.1 + 0.2]
    for index, value in enumerate(values):
        plant.scan(1, 60 - index, [value, 2.0])
    plant.scan(1, 50, [None, 3.0], [205, 0])
    found: list[Any] = []
    cursor = None
    while True:
        query = {"tag": "speed", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = await get(operator, f"{DEVICES}/1/readings", **query)
        found += list(zip(page["value"], page["quality"], strict=True))
        assert page["unit"] == "r/min"
        cursor = page["next"]
        if cursor is None:
            break
    assert found == [
        (1.5, 0),
        ("NaN", 0),
        ("Infinity", 0),
        ("-Infinity", 0),
        (0.1 + 0.2, 0),
        (None, 205),
    ]
    assert (await operator.get(f"{DEVICES}/1/readings", params={"tag": "nothing"})).status_code == 404
    assert (await operator.get(f"{DEVICES}/1/readings")).json()["errors"][0]["field"] == "query.tag"


async def test_text_is_read_where_numbers_are(operator: httpx.AsyncClient, plant: Plant) -> None:
    plant.run(
        "insert into reading_text values (1, 3, now() - interval '5 s', now(), '序-01', 0, 0)", role="ingest"
    )
    page = await get(operator, f"{DEVICES}/1/readings", tag="serial")
    assert page["value"] == ["序-01"]
    latest = await get(operator, f"{DEVICES}/1/latest")
    assert [(r["tag"], r["value"]) for r in latest["readings"]] == [
        ("speed", None),
        ("current", None),
        ("serial", "序-01"),
    ]


async def test_the_latest_reading_of_each_tag_has_its_age(operator: httpx.AsyncClient, plant: Plant) -> None:
    plant.scan(1, 30, [1.0, 2.0])
    plant.run("insert into scan values (1, now(), now(), '[2:2]={9}', null, 0)", role="ingest")
    readings = {r["tag"]: r for r in (await get(operator, f"{DEVICES}/1/latest"))["readings"]}
    assert (readings["speed"]["value"], readings["current"]["value"]) == (1.0, 9.0)
    assert readings["speed"]["age_s"] >= 30 > readings["current"]["age_s"] >= 0


async def test_rolled_up_readings_hold_their_spread(operator: httpx.AsyncClient, plant: Plant) -> None:
    for table in ("rollup_minute", "rollup_hour"):
        plant.run(
            f"insert into {table} values (1, date_trunc('hour', now()) - interval '1 hour', '{{60,60}}', '{{59,60}}',"
            " '{1,0}', '{3,0}', '{NaN,0}', '{2.5,0}')"
        )
    for resolution in ("minute", "hour"):
        page = await get(operator, f"{DEVICES}/1/readings", tag="speed", resolution=resolution)
        assert (page["count"], page["good"], page["min"], page["mean"]) == ([60], [59], [1.0], ["NaN"])
        assert page["value"] is None


async def test_diagnostics_say_that_the_gateway_is_away(operator: httpx.AsyncClient, plant: Plant) -> None:
    answer = await operator.get(f"{DEVICES}/1/diagnostics")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]
    plant.run("update device set gateway = null where id = 1")
    answer = await operator.get(f"{DEVICES}/1/diagnostics")
    assert (answer.status_code, answer.json()["code"]) == (409, "no-gateway")
