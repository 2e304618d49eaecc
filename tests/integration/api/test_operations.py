"""Gateways, gaps, quarantine, health, the book and the console's files over HTTP."""

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from tests.integration.api.plant import Plant, looking, serving

V1 = "/api/v1"


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await client.get(V1 + path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_gateway_says_whether_anybody_believes_it_watches(
    operator: httpx.AsyncClient, plant: Plant
) -> None:
    plant.run("insert into gateway (code, name) values ('new', '新网关'), ('gone', '旧网关'), ('off', '停')")
    for gateway, ended in ((4, False), (5, True)):
        plant.run(
            """insert into watch values (nextval('watch_id_seq'), 1, null, %s, 0, 7, now() - interval '1 h',
                now() - interval '1 min', now() - interval '1 h', now() - interval '55 s', true, %s)""",
            gateway,
            ended,
            role="ingest",
        )
    plant.run("insert into gateway_position values (4, 0, 7, 120, now())", role="ingest")
    plant.run("insert into gateway_key values (4, %s)", bytes(32))
    gateways = {each["code"]: each for each in (await get(operator, "/gateways"))["items"]}
    assert {code: each["lease"] for code, each in gateways.items()} == {
        "own": "watching",
        "shared": "watching",
        "new": "never",
        "gone": "expired",
        "off": "stopped",
    }
    gone = gateways["gone"]
    assert (gone["epoch"], gone["keys"], gone["lag_s"]) == (7, 1, 5.0)
    assert gone["partitions"][0]["sequence"] == 120
    assert gateways["own"]["devices"] == 3


async def test_gaps_come_newest_first_and_a_devices_include_its_gateways(
    operator: httpx.AsyncClient, tenant: httpx.AsyncClient, plant: Plant
) -> None:
    for enterprise, gateway, partition, device, minutes in (
        (1, 1, None, None, 5),
        (1, 1, 2, None, 4),
        (1, 1, None, 1, 3),
        (2, 2, None, 4, 2),
        (None, 2, None, None, 1),
    ):
        plant.run(
            """insert into gap (enterprise, gateway, partition, device, from_time, to_time, reason, polls, detail)
            values (%s, %s, %s, %s, now() - %s * interval '1 min', now(), 'gateway-down', 3, '{"n": 1}')""",
            enterprise,
            gateway,
            partition,
            device,
            minutes,
            role="ingest",
        )
    assert [gap["id"] for gap in (await get(operator, "/gaps"))["items"]] == [5, 4, 3, 2, 1]
    page = await get(operator, "/gaps", limit=2)
    rest = await get(operator, "/gaps", limit=5, cursor=page["next"])
    assert [gap["id"] for gap in rest["items"]] == [3, 2, 1]
    assert [gap["id"] for gap in (await get(operator, "/gaps", device=1))["items"]] == [3, 1]
    assert [gap["id"] for gap in (await get(tenant, "/gaps"))["items"]] == [5, 3, 2, 1]
    until = (plant.now - timedelta(minutes=4, seconds=-30)).isoformat()
    assert [gap["id"] for gap in (await get(operator, "/gaps", to=until))["items"]] == [2, 1]


async def test_quarantine_tells_the_reason_and_not_the_body(
    operator: httpx.AsyncClient, tenant: httpx.AsyncClient, plant: Plant
) -> None:
    plant.run(
        """insert into quarantine (enterprise, gateway, partition, stream_sequence, reason, body)
        values (null, 1, 0, 7, 'signature-wrong', 'abc')""",
        role="ingest",
    )
    items = (await get(operator, "/quarantine"))["items"]
    assert [(item["reason"], item["bytes"], item["gateway"]) for item in items] == [
        ("signature-wrong", 3, "own")
    ]
    assert (await get(tenant, "/quarantine"))["items"] == []


async def test_enterprises_have_their_sites_and_an_etag(operator: httpx.AsyncClient) -> None:
    items = (await get(operator, "/enterprises"))["items"]
    assert [(item["code"], item["devices"]) for item in items] == [("other", 1), ("yl", 3)]
    one = await get(operator, "/enterprises/yl")
    assert one["sites"] == [{"code": "hall", "name": "炉区", "devices": 3}]
    tag = (await operator.get(f"{V1}/enterprises")).headers["etag"]
    again = await operator.get(f"{V1}/enterprises", headers={"If-None-Match": tag})
    assert again.status_code == 304


async def test_a_book_is_tried_dry_then_imported_whole_or_not_at_all(app: FastAPI, plant: Plant) -> None:
    good = "enterprises: [{code: new, name: 新企业}]\nsites: [{enterprise: new, code: a, name: 甲}]"
    bad = good + "\ndevices: [{enterprise: new, code: D-1, name: d, model: none, colour: red}]"
    async with looking(app, await plant.token(may_write=True)) as client:

        async def send(text: str, **query: Any) -> httpx.Response:
            file = {"file": ("书.yaml", io.BytesIO(text.encode()))}
            return await client.post(f"{V1}/book/import", params=query, files=file)

        dry = (await send(good)).json()
        assert (dry["dry_run"], dry["applied"], dry["created"]) == (
            True,
            False,
            {"enterprises": 1, "sites": 1},
        )
        refused = (await send(bad, dry_run="false", language="en")).json()
        assert refused["errors_total"] == len(refused["errors"]) > 0
        assert refused["applied"] is False
        assert any("colour" in str(error["facts"]) + error["message"] for error in refused["errors"])
        assert plant.run("select count(*) from enterprise") == [(2,)]
        done = (await send(good, dry_run="false")).json()
        assert done["applied"] is True
        exported = await client.get(f"{V1}/book/export.yaml")
        assert "新企业" in exported.text
        assert exported.headers["content-disposition"] == 'attachment; filename="muster.yaml"'
        for name in ("export.xlsx", "template.xlsx"):
            assert (await client.get(f"{V1}/book/{name}")).content.startswith(b"PK")
        missing = await client.post(f"{V1}/book/import", files={"other": ("a", b"")})
        assert (missing.status_code, missing.json()["errors"][0]["field"]) == (422, "body.file")


async def test_an_upload_beyond_the_limit_is_refused(plant: Plant) -> None:
    token = await plant.token(may_write=True)
    async with serving(plant, upload_limit_bytes=10_000) as app, looking(app, token) as client:
        answer = await client.post(f"{V1}/book/import", files={"file": ("a.yaml", b"#" * 20_000)})
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
        answer = await client.post(f"{V1}/session", content=b"x" * 100_000)
        assert answer.status_code == 413


async def test_health_tells_what_is_away(plant: Plant, app: FastAPI, operator: httpx.AsyncClient) -> None:
    healthy = await operator.get("/healthz")
    assert (healthy.status_code, healthy.json()["status"]) == (200, "ok")
    plant.run("alter role muster_api nologin")
    try:
        plant.run("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'muster_api'")
        failing = await operator.get("/healthz")
        assert (failing.status_code, failing.json()["status"]) == (503, "failing")
        answer = await operator.get(f"{V1}/devices")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    finally:
        plant.run("alter role muster_api login")


async def test_metrics_count_answers_by_route(operator: httpx.AsyncClient) -> None:
    await operator.get(f"{V1}/devices/1")
    text = (await operator.get("/metrics")).text
    assert 'muster_http_requests_total{method="GET",route="/api/v1/devices/{device}",status="200"}' in text


async def test_the_console_is_served_with_its_page_for_every_path(plant: Plant, tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<title>Muster</title>", "utf-8")
    (tmp_path / "assets" / "app-1234.js").write_text("1", "utf-8")
    (tmp_path.parent / "secret.txt").write_text("s", "utf-8")
    async with serving(plant, console_dir=tmp_path) as app, looking(app) as browser:
        for path in ("/", "/devices/17", "/wall", "/..%2fsecret.txt", "/a%00b"):
            page = await browser.get(path)
            assert (page.status_code, page.text) == (200, "<title>Muster</title>"), path
            assert page.headers["cache-control"] == "no-cache"
            assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
            assert page.headers["x-content-type-options"] == "nosniff"
        asset = await browser.get("/assets/app-1234.js")
        assert "immutable" in asset.headers["cache-control"]
        assert (await browser.get("/assets/old-9.js")).status_code == 404
        missing = await browser.get(f"{V1}/nothing")
        assert (missing.status_code, missing.json()["code"]) == (404, "not-found")
        assert (await browser.post("/devices")).status_code == 405
