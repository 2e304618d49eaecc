"""Discovery and certificates over a real bus: who may ask which gateway, what comes back, what is written down."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from bus import subjects
from bus.connection import answer, connect
from gateway.adapter import Certificate, Found
from muster.errors import RequestError
from tests.conftest import Bus
from tests.integration.api.plant import Plant, looking, serving

V1 = "/api/v1"
THUMBPRINT = "6F1A0C3B5D7E9F1A2B3C4D5E6F708192A3B4C5D6"
QUESTION = {"protocol": "opcua", "connection": {"url": "opc.tcp://192.0.2.10:4840"}, "search": "泵"}
FOUND = Found("泵/温度", "温度", "float64", {"node": "ns=2;s=温度"}, group="泵", unit="°C", value=41.5)
SHOWN = Certificate(
    THUMBPRINT,
    "00" * 32,
    "CN=pump",
    "CN=pump",
    "urn:pump",
    ["pump"],
    0,
    10**15,
    "waiting",
    "opc.tcp://x",
    10**9,
)


class Gateway:
    """Answers as `gateway/requests.py` does, on the subjects of gateway 1; `asked` keeps every question."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def discover(self, question: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(("discover", question))
        if "url" not in question["connection"]:
            raise RequestError("connection.url: Field required", status=422, code="not-valid")
        return {"found": [asdict(FOUND)]}

    async def browse(self, question: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(("browse", question))
        return {"found": [asdict(FOUND)]}

    async def certificates(self, question: dict[str, Any]) -> dict[str, Any]:
        return {"certificates": [asdict(SHOWN)]}

    async def decide(self, question: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(("decide", question))
        if question["thumbprint"] != THUMBPRINT:
            raise RequestError("no such certificate", status=404, code="unknown-certificate")
        return {"certificate": {**asdict(SHOWN), "state": "trusted" if question["trust"] else "refused"}}


@pytest.fixture
async def gateway(nats: Bus) -> AsyncIterator[Gateway]:
    gateway = Gateway()
    client = await connect(nats.settings("gateway-1"), "gateway")
    for verb in ("discover", "browse", "certificates", "decide"):
        await answer(client, subjects.request(1, verb), getattr(gateway, verb))
    await client.flush()
    yield gateway
    await client.close()


@pytest.fixture
async def app(plant: Plant, nats: Bus) -> AsyncIterator[FastAPI]:
    async with serving(plant, bus=nats.settings("api")) as app:
        await app.state.muster.road.connected.wait()
        yield app


@pytest.fixture
async def writer(app: FastAPI, plant: Plant) -> AsyncIterator[httpx.AsyncClient]:
    async with looking(app, await plant.token(may_write=True)) as client:
        yield client


def changes(plant: Plant) -> list[tuple[Any, ...]]:
    return plant.run("select action, source, enterprise from book_change order by id")


async def test_what_a_gateway_discovers_comes_back_ready_to_become_tags(
    writer: httpx.AsyncClient, gateway: Gateway
) -> None:
    answered = await writer.post(f"{V1}/gateways/1/discover", json=QUESTION)
    assert answered.status_code == 200, answered.text
    assert answered.json() == {"gateway": "own", "items": [asdict(FOUND)]}
    assert gateway.asked == [("discover", {**QUESTION, "wait_s": 5.0})]


async def test_a_wrong_connection_is_a_problem_that_names_its_field(
    writer: httpx.AsyncClient, gateway: Gateway
) -> None:
    answered = await writer.post(f"{V1}/gateways/1/discover", json={**QUESTION, "connection": {}})
    assert answered.status_code == 422
    assert "connection.url" in answered.json()["detail"]


async def test_only_a_token_that_may_write_lets_a_gateway_look_at_an_address(
    operator: httpx.AsyncClient, gateway: Gateway
) -> None:
    answered = await operator.post(f"{V1}/gateways/1/discover", json=QUESTION)
    assert (answered.status_code, answered.json()["code"]) == (403, "read-only")
    answered = await operator.post(
        f"{V1}/gateways/1/certificates/{THUMBPRINT}", json={"protocol": "opcua", "trust": True}
    )
    assert answered.status_code == 403
    assert gateway.asked == []


async def test_an_enterprise_commands_its_own_gateways_only(
    app: FastAPI, plant: Plant, gateway: Gateway
) -> None:
    async with looking(app, await plant.token("yl", may_write=True)) as yl:
        assert (await yl.post(f"{V1}/gateways/1/discover", json=QUESTION)).status_code == 200
    async with looking(app, await plant.token("other", may_write=True)) as other:
        for number in (1, 2):  # another enterprise's, and one that the operator shares
            assert (await other.post(f"{V1}/gateways/{number}/discover", json=QUESTION)).status_code == 404
            assert (await other.get(f"{V1}/gateways/{number}/certificates")).status_code == 404
        assert (await other.get(f"{V1}/devices/1/browse")).status_code == 404
        assert (await other.get(f"{V1}/devices/4/browse")).status_code == 404


async def test_a_gateway_that_does_not_answer_is_a_problem_to_try_again(writer: httpx.AsyncClient) -> None:
    for answered in (
        await writer.post(f"{V1}/gateways/1/discover", json=QUESTION),
        await writer.get(f"{V1}/devices/1/browse"),
        await writer.get(f"{V1}/gateways/1/certificates"),
    ):
        assert (answered.status_code, answered.json()["code"]) == (503, "unavailable")
        assert answered.headers["retry-after"]


async def test_a_device_is_browsed_through_its_gateway(
    operator: httpx.AsyncClient, gateway: Gateway, plant: Plant
) -> None:
    answered = await operator.get(f"{V1}/devices/1/browse", params={"search": "温"})
    assert [one["path"] for one in answered.json()["items"]] == ["泵/温度"]
    assert gateway.asked == [("browse", {"device": 1, "search": "温"})]
    plant.run("update device set retired_at = now() where id = 1")
    answered = await operator.get(f"{V1}/devices/1/browse")
    assert (answered.status_code, answered.json()["code"]) == (409, "no-gateway")


async def test_who_trusted_a_certificate_is_written_down(
    writer: httpx.AsyncClient, gateway: Gateway, plant: Plant
) -> None:
    (shown,) = (await writer.get(f"{V1}/gateways/1/certificates")).json()["items"]
    assert (shown["state"], shown["not_before"]) == ("waiting", "1970-01-01T00:00:00Z")
    path = f"{V1}/gateways/1/certificates/{THUMBPRINT.lower()}"
    answered = await writer.post(path, json={"protocol": "opcua", "trust": True})
    assert answered.json()["state"] == "trusted", answered.text
    assert changes(plant) == [("trust-certificate", f"gateway own opcua {THUMBPRINT}", None)]


async def test_a_decision_that_the_gateway_refused_is_not_written_down(
    writer: httpx.AsyncClient, gateway: Gateway, plant: Plant
) -> None:
    answered = await writer.post(
        f"{V1}/gateways/1/certificates/{'0' * 40}", json={"protocol": "opcua", "trust": True}
    )
    assert (answered.status_code, answered.json()["code"]) == (404, "unknown-certificate")
    assert changes(plant) == []
