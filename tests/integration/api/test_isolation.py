"""Who sees what: an enterprise's token sees that enterprise, and everything else is not there."""

from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from api import tokens
from api.access import COOKIE
from muster.errors import RequestError
from tests.integration.api.plant import Plant, looking, serving

V1 = "/api/v1"
EVERY_ROUTE = (
    "/counts/devices",
    "/counts/devices/excluded",
    "/counts/protocols",
    "/counts/series",
    "/devices",
    "/devices/1",
    "/devices/1/presence",
    "/devices/1/latest",
    "/devices/1/readings?tag=speed",
    "/devices/1/diagnostics",
    "/gateways",
    "/gaps",
    "/quarantine",
    "/enterprises",
    "/enterprises/yl",
    "/rulebooks",
    "/book/export.yaml",
    "/book/template.xlsx",
    "/live",
)


@pytest.mark.parametrize(
    "path",
    [
        "/devices/4",
        "/devices/4/presence",
        "/devices/4/latest",
        "/devices/4/readings?tag=speed",
        "/devices/4/diagnostics",
        "/gaps?device=4",
        "/enterprises/other",
        "/devices?enterprise=other",
        "/gaps?enterprise=other",
        "/counts/devices?enterprise=other",
        "/counts/devices/excluded?enterprise=other",
        "/counts/protocols?enterprise=other",
        "/counts/series?enterprise=other",
    ],
)
async def test_what_belongs_to_another_enterprise_is_not_there(tenant: httpx.AsyncClient, path: str) -> None:
    answer = await tenant.get(V1 + path)
    assert answer.status_code == 404, answer.text
    assert answer.json()["code"] == "not-found"


async def test_lists_and_counts_of_a_tenant_hold_only_its_own(
    tenant: httpx.AsyncClient, plant: Plant
) -> None:
    plant.scan(4, 1, [7.0])
    count = (await tenant.get(f"{V1}/counts/devices")).json()
    assert count["frame"]["devices"] == 3
    assert count["rehearsal"]["by_enterprise"] == {"yl": 2}
    assert [d["id"] for d in (await tenant.get(f"{V1}/devices")).json()["items"]] == [1, 2, 3]
    assert [e["code"] for e in (await tenant.get(f"{V1}/enterprises")).json()["items"]] == ["yl"]
    assert [g["code"] for g in (await tenant.get(f"{V1}/gateways")).json()["items"]] == ["own", "shared"]
    book = (await tenant.get(f"{V1}/book/export.yaml")).text
    assert "P-001" in book
    assert "X-1" not in book
    assert "外厂设备" not in book


async def test_a_tenants_filter_cannot_be_talked_into_more(tenant: httpx.AsyncClient) -> None:
    for text in ("%", "' or true --", "P-100%", "\\", "_", "外厂"):
        found = (await tenant.get(f"{V1}/devices", params={"q": text})).json()["items"]
        assert all(device["enterprise"] == "yl" for device in found)
    assert [d["code"] for d in (await tenant.get(f"{V1}/devices", params={"q": "100%"})).json()["items"]] == [
        "P-100%"
    ]
    assert (await tenant.get(f"{V1}/devices", params={"q": "_甲"})).json()["items"][0]["id"] == 3
    assert (await tenant.get(f"{V1}/devices", params={"q": "a\x00b"})).status_code == 422


async def test_without_a_token_nothing_is_shown_where_one_is_needed(plant: Plant) -> None:
    async with serving(plant, anonymous="none") as app, looking(app) as nobody:
        for path in EVERY_ROUTE:
            answer = await nobody.get(V1 + path)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), path
            assert answer.headers["www-authenticate"] == "Bearer"
        session = (await nobody.get(f"{V1}/session")).json()
        assert (session["signed_in"], session["by"]) == (False, "nobody")
        assert (await nobody.get("/healthz")).status_code == 200


async def test_a_wrong_token_is_refused_even_where_none_is_needed(app: FastAPI) -> None:
    async with looking(app, "mst_made-up") as client:
        assert (await client.get(f"{V1}/devices")).status_code == 401


async def test_a_revoked_or_expired_token_is_refused(plant: Plant) -> None:
    owner = plant.database.owner
    number, token = await tokens.create(owner, "short", lasts=timedelta(hours=1))
    _, expired = await tokens.create(owner, "over", lasts=timedelta(seconds=-1))
    await tokens.revoke(owner, number)
    async with serving(plant, anonymous="none") as app:
        for each in (token, expired):
            async with looking(app, each) as client:
                assert (await client.get(f"{V1}/devices")).status_code == 401
    listed = {each.label: each for each in await tokens.list_tokens(owner)}
    assert listed["short"].revoked_at is not None
    with pytest.raises(RequestError, match="none in force"):
        await tokens.revoke(owner, number)
    with pytest.raises(RequestError, match="there is none"):
        await tokens.create(owner, "for nobody", enterprise="没有")


async def test_the_database_holds_no_token_and_the_api_cannot_list_them(plant: Plant) -> None:
    token = await plant.token("yl")
    rows = plant.run("select to_jsonb(api_token)::text from api_token")
    assert all(token not in row[0] for row in rows)
    with pytest.raises(Exception, match="permission denied"):
        plant.run("select * from api_token", role="api")


async def test_the_console_signs_in_with_a_cookie_that_scripts_cannot_read(plant: Plant) -> None:
    token = await plant.token("yl", may_write=True)
    async with serving(plant, anonymous="none") as app, looking(app) as browser:
        wrong = await browser.post(f"{V1}/session", json={"token": "mst_wrong"})
        assert wrong.status_code == 401
        answer = await browser.post(f"{V1}/session", json={"token": token})
        assert answer.json() == {
            "signed_in": True,
            "by": "token",
            "label": "test",
            "enterprise": "yl",
            "may_write": True,
        }
        cookie = answer.headers["set-cookie"]
        assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/"))
        assert (await browser.get(f"{V1}/devices")).status_code == 200
        forged = await browser.post(
            f"{V1}/book/import",
            files={"file": ("a.yaml", b"devices: []")},
            headers={"Origin": "http://evil.example"},
        )
        assert (forged.status_code, forged.json()["code"]) == (403, "foreign-site")
        assert (await browser.delete(f"{V1}/session")).status_code == 204
        assert COOKIE not in browser.cookies
        assert (await browser.get(f"{V1}/devices")).status_code == 401


async def test_an_anonymous_view_is_not_served_under_a_foreign_name(app: FastAPI) -> None:
    async with looking(app) as client:
        answer = await client.get(f"{V1}/devices", headers={"Host": "evil.example"})
        assert (answer.status_code, answer.json()["code"]) == (421, "foreign-host")
        assert (await client.get(f"{V1}/devices", headers={"Host": "localhost:8080"})).status_code == 200


async def test_an_anonymous_or_reading_viewer_changes_nothing(app: FastAPI, plant: Plant) -> None:
    book = {"file": ("a.yaml", b"enterprises: [{code: new, name: n}]")}
    reading = await plant.token("yl")
    for token in (None, reading):
        async with looking(app, token) as client:
            answer = await client.post(f"{V1}/book/import?dry_run=false", files=book)
            assert (answer.status_code, answer.json()["code"]) == (403, "read-only")
    assert plant.run("select count(*) from enterprise") == [(2,)]
