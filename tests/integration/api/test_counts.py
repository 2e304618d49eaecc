"""Counts over HTTP: shape, scopes, past instants, pages."""

from datetime import timedelta
from typing import Any

import httpx

from tests.integration.api.plant import Plant

DEVICES = "/api/v1/counts/devices"


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_count_holds_at_least_what_was_promised(operator: httpx.AsyncClient) -> None:
    body = await get(operator, DEVICES)
    assert {"at", "as_known_at", "definition", "official", "rehearsal"} <= body.keys()
    for word in ("official", "rehearsal"):
        scope = body[word]
        assert {
            "connected",
            "by_state",
            "by_protocol",
            "by_class",
            "by_enterprise",
            "by_origin",
            "excluded",
            "window",
        } <= scope.keys()
        assert {"min", "median", "p5", "observed_share"} <= scope["window"].keys()
        assert {"device", "reason"} <= scope["excluded"][0].keys()
        assert sum(scope["by_state"].values()) == body["frame"]["devices"] == 4
        for table in ("by_protocol", "by_class", "by_enterprise", "by_origin", "by_industry"):
            assert sum(scope[table].values()) == scope["connected"], table


async def test_the_official_count_holds_real_devices_only_and_a_rehearsal_is_marked(
    operator: httpx.AsyncClient,
) -> None:
    body = await get(operator, DEVICES)
    official, rehearsal = body["official"], body["rehearsal"]
    assert (official["connected"], official["marked"]) == (1, False)
    assert (rehearsal["connected"], rehearsal["marked"]) == (3, True)
    assert official["by_origin"] == {"real": 1, "unknown": 0, "replayed": 0, "simulated": 0}
    assert rehearsal["by_enterprise"] == {"yl": 2, "other": 1}
    assert rehearsal["by_protocol"] == {"Modbus": 3}
    assert {each["device"]: each["reasons"] for each in official["excluded"]} == {
        1: ["excluded.origin-simulated"],
        3: ["excluded.offline", "excluded.origin-simulated"],
        4: ["excluded.origin-simulated"],
    }
    assert [(each["device"], each["detail"]) for each in rehearsal["excluded"]] == [(3, "timeout")]


async def test_one_scope_alone_and_no_days_when_asked_so(operator: httpx.AsyncClient) -> None:
    body = await get(operator, DEVICES, scope="rehearsal", days="false")
    assert body["official"] is None
    assert body["rehearsal"]["days"] is None


async def test_days_count_devices_that_last(operator: httpx.AsyncClient) -> None:
    days = (await get(operator, DEVICES))["rehearsal"]["days"]
    assert (days["minutes"], days["least"], days["of_days"], days["devices"]) == (60, 20, 30, 0)
    assert days["time_zone"] == "Asia/Shanghai"


async def test_before_any_data_the_count_is_zero_and_the_frame_empty(operator: httpx.AsyncClient) -> None:
    body = await get(operator, DEVICES, at="2001-01-01T00:00:00Z")
    assert body["frame"]["devices"] == body["rehearsal"]["connected"] == 0
    assert body["rehearsal"]["excluded"] == []
    assert body["rehearsal"]["window"] == {
        "from_time": "2000-12-31T23:00:00Z",
        "to_time": "2001-01-01T00:00:00Z",
        "min": 0,
        "median": 0.0,
        "p5": 0.0,
        "observed_share": 0.0,
    }


async def test_a_past_instant_is_answered_as_it_was(operator: httpx.AsyncClient, plant: Plant) -> None:
    before_the_fall = (plant.now - timedelta(minutes=40)).isoformat()
    body = await get(operator, DEVICES, at=before_the_fall, window="10m")
    assert body["rehearsal"]["by_state"]["connected"] == 3
    assert body["rehearsal"]["by_state"]["unobserved"] == 1
    assert body["rehearsal"]["window"]["median"] == 3
    assert body["rehearsal"]["window"]["observed_share"] == 0.75
    first = (plant.now - timedelta(minutes=61)).isoformat()
    body = await get(operator, DEVICES, at=first)
    assert body["rehearsal"]["connected"] == 0
    assert body["rehearsal"]["excluded"][0]["detail"] == "not-yet-observed"


async def test_what_has_not_come_yet_or_was_not_known_yet_is_a_problem(
    operator: httpx.AsyncClient, plant: Plant
) -> None:
    later = (plant.now + timedelta(hours=1)).isoformat()
    earlier = (plant.now - timedelta(hours=1)).isoformat()
    now = plant.now.isoformat()
    for query, code, field in (
        ({"at": later}, "in-the-future", "query.at"),
        ({"as_known_at": later}, "in-the-future", "query.as_known_at"),
        ({"at": now, "as_known_at": earlier}, "known-before-at", "query.as_known_at"),
        ({"window": "93d"}, "span-too-long", "query.window"),
    ):
        answer = await operator.get(DEVICES, params=query)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.json()["code"], answer.json()["errors"][0]["field"]) == (code, field)


async def test_the_excluded_come_in_pages_that_keep_to_their_instant(
    operator: httpx.AsyncClient, plant: Plant
) -> None:
    body = await get(operator, DEVICES, limit=1)
    assert body["official"]["excluded_total"] == 3
    seen = [body["official"]["excluded"][0]["device"]]
    cursor = body["official"]["excluded_next"]
    plant.see(1, 1, "timeout", 0)
    while cursor is not None:
        page = await get(operator, f"{DEVICES}/excluded", cursor=cursor, limit=1)
        assert (page["at"], page["scope"], page["total"]) == (body["at"], "official", 3)
        assert all(item["state"] == "connected" or item["device"] == 3 for item in page["items"])
        seen += [item["device"] for item in page["items"]]
        cursor = page["next"]
    assert seen == [1, 3, 4]


async def test_filters_limit_the_frame_and_an_unknown_enterprise_is_not_found(
    operator: httpx.AsyncClient,
) -> None:
    body = await get(operator, DEVICES, enterprise="yl", industry="metallurgy")
    assert body["frame"]["devices"] == 3
    assert (await get(operator, DEVICES, industry="农业"))["frame"]["devices"] == 0
    answer = await operator.get(DEVICES, params={"enterprise": "没有'; drop table device; --"})
    assert answer.status_code == 404


async def test_protocols_are_counted_by_family(operator: httpx.AsyncClient, plant: Plant) -> None:
    plant.run("update device set protocol = 'modbus_rtu' where id = 4")
    plant.run("update device set protocol = 'unheard-of' where id = 3")
    body = await get(operator, "/api/v1/counts/protocols")
    assert body["supported"] == [{"family": "Modbus", "protocols": ["modbus", "modbus_rtu"]}]
    assert body["rehearsal"]["families"] == [
        {
            "family": "Modbus",
            "devices": 3,
            "variants": [{"protocol": "modbus", "devices": 2}, {"protocol": "modbus_rtu", "devices": 1}],
        }
    ]
    assert body["official"]["evidenced"] == 1


async def test_the_series_gives_columns_of_equal_length(operator: httpx.AsyncClient) -> None:
    body = await get(operator, "/api/v1/counts/series", step="5m")
    columns = [
        body[name] for name in ("official", "official_min", "rehearsal", "rehearsal_min", "observed", "frame")
    ]
    assert {len(column) for column in columns} == {len(body["time"])} == {12}
    assert body["rehearsal"][-1] == 3
    assert body["observed"][-1] == 4
    answer = await operator.get(
        "/api/v1/counts/series", params={"step": "1s", "from": "2026-09-01T00:00:00Z"}
    )
    assert answer.json()["code"] == "too-many-samples"
