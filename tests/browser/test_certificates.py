"""Deciding about a server's certificate in a real browser; a gateway's part is played over the real bus."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import pytest
from playwright.sync_api import expect

from bus import subjects
from bus.connection import answer, connect
from gateway.adapter import Certificate
from tests.browser.conftest import Open, Site
from tests.conftest import Bus

THUMBPRINT = "6F1A0C3B5D7E9F1A2B3C4D5E6F708192A3B4C5D6"
ENDPOINT = "opc.tcp://192.0.2.10:4840"
SHOWN = Certificate(
    THUMBPRINT,
    "00" * 32,
    "CN=pump-server",
    "CN=pump-server",
    "urn:pump",
    ["pump"],
    0,
    10**15,
    "waiting",
    ENDPOINT,
    0,
)


class Gateway:
    """Answers for gateway 1 what its OPC UA room would, from a thread and loop of its own."""

    def __init__(self, bus: Bus) -> None:
        self.known = SHOWN
        self._bus = bus
        self._loop = asyncio.new_event_loop()
        self._answering = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway")

    def __enter__(self) -> "Gateway":
        self._thread.start()
        assert self._answering.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        client = self._loop.run_until_complete(self._connect())
        self._answering.set()
        self._loop.run_forever()
        self._loop.run_until_complete(client.close())
        self._loop.close()

    async def _connect(self) -> Any:
        client = await connect(self._bus.settings("gateway-1"), "gateway")
        await answer(client, subjects.request(1, "certificates"), self._certificates)
        await answer(client, subjects.request(1, "decide"), self._decide)
        await client.flush()
        return client

    async def _certificates(self, question: dict[str, Any]) -> dict[str, Any]:
        return {"certificates": [asdict(self.known)]}

    async def _decide(self, question: dict[str, Any]) -> dict[str, Any]:
        self.known = replace(self.known, state="trusted" if question["trust"] else "refused")
        return {"certificate": asdict(self.known)}


@pytest.fixture
def gateway(nats_server: Bus) -> Iterator[Gateway]:
    with Gateway(nats_server) as gateway:
        yield gateway


def test_a_waiting_certificate_is_trusted_by_its_thumbprint(
    closed_site: Site, look: Open, gateway: Gateway
) -> None:
    watched = look(f"{closed_site.url}/gateways")
    page = watched.page
    page.get_by_label("访问令牌").fill(closed_site.tokens["writer"])
    page.get_by_role("button", name="登录").click()
    row = page.get_by_test_id("certificates").get_by_role("row").filter(has_text="CN=pump-server")
    expect(row).to_contain_text("待批准")
    expect(row).to_contain_text("6F1A 0C3B 5D7E")
    expect(row).to_contain_text(ENDPOINT)
    row.get_by_role("button", name="信任").click()
    page.get_by_role("tooltip").get_by_role("button", name="信任").click()
    expect(row).to_contain_text("已信任")
    assert gateway.known.state == "trusted"
    row.get_by_role("button", name="拒绝").click()
    expect(row).to_contain_text("已拒绝")
    assert gateway.known.state == "refused"


def test_who_may_only_look_sees_certificates_and_decides_nothing(
    site: Site, look: Open, gateway: Gateway
) -> None:
    page = look(f"{site.url}/gateways").page
    row = page.get_by_test_id("certificates").get_by_role("row").filter(has_text="CN=pump-server")
    expect(row).to_contain_text("只读查看")
    expect(row.get_by_role("button")).to_have_count(0)


def test_a_gateway_that_does_not_answer_is_named(site: Site, look: Open) -> None:
    page = look(f"{site.url}/gateways").page
    expect(page.get_by_test_id("certificates")).to_contain_text("一号线网关")
