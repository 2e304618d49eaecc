"""Every error is a problem that names what is wrong."""

import httpx
import pytest

V1 = "/api/v1"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/counts/devices?colour=red", "query.colour"),
        ("/counts/devices?at=yesterday", "query.at"),
        ("/counts/devices?at=2026-01-01T00:00:00", "query.at"),
        ("/counts/devices?at=2026-02-30T00:00:00Z", "query.at"),
        ("/counts/devices?at=1700000000", "query.at"),
        ("/counts/devices?at=0001-01-01T00:00:00Z", "query.at"),
        ("/counts/devices?at=2026-01-01T00:00:00+08:00", "query.at"),
        ("/counts/devices?at=2026-01-01T00:00:00Z&at=2026-01-02T00:00:00Z", "query.at"),
        ("/counts/devices?window=0s", "query.window"),
        ("/counts/devices?window=-1h", "query.window"),
        ("/counts/devices?window=P1D", "query.window"),
        ("/counts/devices?scope=all", "query.scope"),
        ("/counts/devices?limit=0", "query.limit"),
        ("/counts/devices?limit=501", "query.limit"),
        ("/counts/devices/excluded?cursor=!!!", "query.cursor"),
        ("/devices?cursor=WyJvdGhlciIsMTdd", "query.cursor"),
        ("/devices?cursor=WyJkZXZpY2VzIiwieCJd", "query.cursor"),
        ("/devices?state=asleep", "query.state.0"),
        ("/devices/0", "path.device"),
        ("/devices/4294967296", "path.device"),
        ("/devices/one", "path.device"),
        ("/devices/1/presence?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "query.from"),
        ("/devices/1/presence?from=2020-01-01T00:00:00Z", "query.from"),
        ("/devices/1/readings?tag=speed&resolution=day", "query.resolution"),
        ("/counts/series?step=0", "query.step"),
        ("/book/export.pdf", "path.format"),
    ],
)
async def test_a_wrong_parameter_is_named(operator: httpx.AsyncClient, path: str, field: str) -> None:
    answer = await operator.get(V1 + path)
    problem = answer.json()
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in problem["errors"]] == [field]
    assert problem["errors"][0]["message"]
    assert problem["status"] == 422
    assert problem["type"] == f"urn:muster:problem:{problem['code']}"
    assert problem["instance"] == (V1 + path).partition("?")[0]


async def test_a_plus_sign_that_was_not_encoded_is_explained(operator: httpx.AsyncClient) -> None:
    answer = await operator.get(f"{V1}/counts/devices?at=2026-01-01T00:00:00+08:00")
    assert "%2B" in answer.json()["detail"]


async def test_paths_and_methods_that_are_not_there_are_problems(operator: httpx.AsyncClient) -> None:
    missing = await operator.get(f"{V1}/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "not-found")
    wrong = await operator.put(f"{V1}/devices")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method-not-allowed")
    assert "GET" in wrong.headers["allow"]


async def test_a_body_that_is_not_what_is_asked_for_is_named(operator: httpx.AsyncClient) -> None:
    for body in (b"{", b'{"token": 1}', b'{"token": "x", "more": 1}', b""):
        answer = await operator.post(
            f"{V1}/session", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422, body
        assert answer.json()["errors"][0]["field"].startswith("body")
