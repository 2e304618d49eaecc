"""A gateway on a real NATS server: documents in, batches out, requests answered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import pytest
from nats.aio.client import Client

import gateway.process
from bus import subjects
from bus.connection import ask
from bus.envelope import Batch
from gateway.settings import Settings
from muster.errors import ConfigError, RequestError, Unavailable
from tests.conftest import Bus
from tests.faults.answers import Gap, Verdict, compare
from tests.faults.gateway.equipment import Equipment, equipment
from tests.faults.gateway.road import answers, everything, gaps, lay, put, stored_once, write_key
from tests.faults.gateway.rooms import counting

GATEWAY = 3


async def until(true: Callable[[], Awaitable[bool]] | Callable[[], bool], limit_s: float = 15) -> None:
    async with asyncio.timeout(limit_s):
        while True:
            found = true()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.05)


@pytest.fixture(autouse=True)
def counting_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.process, "protocols", lambda: {"counting": counting.DESCRIPTION})


@pytest.fixture
async def machines() -> AsyncIterator[Equipment]:
    async with equipment() as made:
        yield made


@pytest.fixture
def settings(nats: Bus, tmp_path: Path) -> Settings:
    return Settings(
        gateway=GATEWAY,
        name="test",
        bus=nats.settings(f"gateway-{GATEWAY}"),
        key_file=write_key(tmp_path / "key.pem"),
        outbox_dir=tmp_path / "outbox",
        rooms_dir=tmp_path / "rooms",
    )


@asynccontextmanager
async def at_work(settings: Settings) -> AsyncIterator[None]:
    """Run a gateway for the block, and stop it in good order."""
    stop = asyncio.Event()
    task = asyncio.create_task(gateway.process.run(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 15)


async def events(client: Client, kind: str) -> list[tuple[int, str, dict[str, object]]]:
    return [
        (event.device, event.reason, event.detail)
        for batch in await everything(client)
        for event in batch.header.events
        if event.kind == kind
    ]


def judged(machines: Equipment, batches: list[Batch]) -> Verdict:
    """Compare what the equipment gave with the batches of gateways that stopped in good order.

    The gap behind the last stop is said by the next start only, so it is added here.
    """
    ended = max(batch.header.watched_until for batch in batches if batch.header.stopping)
    after = Gap(None, ended, 2**62)
    return compare(machines.given, answers(batches), [*gaps(batches), after], slack_us=20_000)


async def said(client: Client, true: Callable[[dict[str, Any]], bool]) -> bool:
    """Tell whether the gateway says this of itself, once it answers."""
    with contextlib.suppress(Unavailable):
        return true((await ask(client, subjects.request(GATEWAY, "diagnostics"), {}, 2))["gateway"])
    return False


async def test_every_answer_reaches_the_stream_once_and_in_order(
    bus: Client, settings: Settings, machines: Equipment
) -> None:
    await lay(bus)
    await put(bus, GATEWAY, {number: machines.document(number) for number in range(1, 9)})
    async with at_work(settings):
        await until(lambda: len(machines.given) > 400)
    batches = stored_once(await everything(bus))
    verdict = judged(machines, batches)
    assert verdict.sound, verdict
    assert verdict.stored >= len(machines.given) - 8, "at most the polls that the stop cut off"
    assert [batch.header.stopping for batch in batches].count(True) == subjects.PARTITIONS
    assert not list(settings.outbox_dir.glob("segment-*2"))


async def test_a_changed_document_is_followed_within_two_seconds_and_others_are_not_disturbed(
    bus: Client, settings: Settings, machines: Equipment
) -> None:
    await lay(bus)
    await put(bus, GATEWAY, {number: machines.document(number) for number in (1, 2)})
    async with at_work(settings):
        await until(lambda: machines.counts[2] > 3)
        before = machines.counts[1]
        await put(bus, GATEWAY, {5: machines.document(5), 2: machines.document(2, 2, interval_s=30)})
        await until(lambda: machines.counts[5] > 2, 2)
        slowed = machines.counts[2]
        bucket = await bus.jetstream().key_value(subjects.CONFIG_BUCKET)
        await bucket.delete(subjects.device_key(GATEWAY, 5))
        await asyncio.sleep(1)
        stopped = machines.counts[5]
        await asyncio.sleep(0.5)
        assert machines.counts[5] == stopped
        assert machines.counts[2] <= slowed + 1
        assert machines.counts[1] > before + 15
    assert [device for device, _, _ in await events(bus, "removed")] == [5]
    assert [device for device, _, _ in await events(bus, "session_up")].count(1) == 1


async def test_wrong_documents_are_said_with_their_field_and_the_others_are_polled(
    bus: Client, settings: Settings, machines: Equipment
) -> None:
    await lay(bus)
    good = machines.document(1)
    other_number = machines.document(77)
    twice = msgspec.json.encode(
        msgspec.json.decode(good)
        | {"number": 6, "tags": [{"position": 1, "name": n, "type": "float64", "address": {}} for n in "ab"]}
    )
    await put(
        bus,
        GATEWAY,
        {
            1: good,
            2: good.replace(b'"number":1', b'"number":2').replace(b"counting", b"carrier-pigeon"),
            3: b"{",
            4: good.replace(b'"number":1', b'"number":4').replace(b'"interval_s":0.05', b'"interval_s":"x"'),
            5: other_number,
            6: twice,
            8: good.replace(b'"number":1', b'"number":8,"colour":1'),
        },
    )
    async with at_work(settings):
        await until(lambda: machines.counts[1] > 3)
    found = {device: (reason, detail) for device, reason, detail in await events(bus, "error")}
    assert found[2] == ("unknown-protocol", {"field": "protocol", "protocol": "carrier-pigeon"})
    assert {device: detail["field"] for device, (_, detail) in found.items()} == {
        2: "protocol",
        3: "",
        4: "interval_s",
        5: "number",
        6: "tags.b.position",
        8: "colour",
    }
    assert {reason for device, (reason, _) in found.items() if device != 2} == {"document-invalid"}


async def test_without_a_bus_a_gateway_works_from_the_documents_it_last_knew(
    bus: Client, settings: Settings, machines: Equipment, free_port: int
) -> None:
    await lay(bus)
    await put(bus, GATEWAY, {1: machines.document(1)})
    async with at_work(settings):
        await until(lambda: (settings.outbox_dir / "documents.json").exists())
    away = settings.model_copy(
        update={"bus": settings.bus.model_copy(update={"url": f"nats://127.0.0.1:{free_port}"})}
    )
    counted = machines.counts[1]
    async with at_work(away):
        await until(lambda: machines.counts[1] > counted + 10)
    async with at_work(settings):
        await until(lambda: machines.counts[1] > counted + 20)
    batches = stored_once(await everything(bus))
    verdict = judged(machines, batches)
    assert verdict.sound, verdict


async def test_no_stream_and_a_full_stream_are_waited_for(
    bus: Client, settings: Settings, machines: Equipment
) -> None:
    await lay(bus)
    await put(bus, GATEWAY, {number: machines.document(number) for number in range(1, 5)})
    await bus.jetstream().delete_stream(subjects.STREAM)
    async with at_work(settings):
        await until(lambda: len(machines.given) > 100)
        await lay(bus, limit_bytes=30_000)

        await until(lambda: said(bus, lambda told: "refuses" in str(told["publishing"])))
        await lay(bus)
        await asyncio.sleep(1)
    async with at_work(settings):
        await until(lambda: said(bus, lambda told: told["outbox_unsent_s"] < 2))
    batches = stored_once(await everything(bus))
    verdict = judged(machines, batches)
    assert verdict.sound, verdict


async def test_requests_are_answered_and_refused_in_words(
    bus: Client, nats: Bus, settings: Settings, machines: Equipment
) -> None:
    await lay(bus)
    await put(bus, GATEWAY, {1: machines.document(1), 2: machines.document(2)})

    async def asked(verb: str, question: dict[str, object]) -> dict[str, object]:
        return await ask(bus, subjects.request(GATEWAY, verb), question, 2)

    async def refusal(verb: str, question: dict[str, object]) -> tuple[int, str]:
        with pytest.raises(RequestError) as caught:
            await asked(verb, question)
        return caught.value.status, caught.value.code

    async with at_work(settings):
        await until(lambda: machines.counts[1] > 2 and machines.counts[2] > 2)
        values = (await asked("read", {"device": 1, "positions": None}))["values"]
        assert [value["position"] for value in values] == [1, 2]  # type: ignore[index, attr-defined]
        read = await asked("read", {"device": 1, "positions": [2]})
        assert [value["position"] for value in read["values"]] == [2]  # type: ignore[index, attr-defined]
        written = await asked("write", {"device": 1, "position": 2, "value": True})
        assert written["value"]["value"] == 1.0  # type: ignore[index]
        assert await refusal("read", {"device": 9}) == (404, "unknown-device")
        assert await refusal("read", {"device": 1, "positions": [5]}) == (404, "unknown-tag")
        assert await refusal("read", {"device": "x"}) == (400, "bad-request")
        assert await refusal("read", {}) == (400, "bad-request")
        assert await refusal("write", {"device": 1, "position": 5, "value": 1}) == (404, "unknown-tag")
        assert await refusal("write", {"device": 1, "position": 2, "value": "x"}) == (400, "not-a-number")
        assert await refusal("write", {"device": 1, "position": 2, "value": "defect"}) == (500, "room-failed")
        assert await refusal("browse", {"device": 1}) == (400, "no-browse")
        one = await asked("diagnostics", {"device": 2})
        assert one["device"]["session"] == "up"  # type: ignore[index]
        told = await asked("diagnostics", {"device": None})
        assert [line["device"] for line in told["devices"]] == [1, 2]  # type: ignore[index, attr-defined]
        assert told["gateway"]["devices"] == 2  # type: ignore[index]
    with pytest.raises(Unavailable):
        await asked("read", {"device": 1})


async def test_a_room_that_fails_is_made_anew_with_its_gap_said(
    bus: Client, settings: Settings, machines: Equipment
) -> None:
    await lay(bus)
    bad = machines.document(2).replace(b'{"port"', b'{"explode":true,"port"')
    await put(bus, GATEWAY, {1: machines.document(1), 2: bad})
    async with at_work(settings):
        await asyncio.sleep(0.5)
        await put(bus, GATEWAY, {2: machines.document(2, 2)})
        await until(lambda: machines.counts[1] > 5 and machines.counts[2] > 5)
    failed = [(device, reason) for device, reason, _ in await events(bus, "gap")]
    assert (1, "room-failed") in failed


async def test_health_and_metrics_are_served(
    bus: Client, settings: Settings, machines: Equipment, free_port: int
) -> None:
    await lay(bus)
    await put(bus, GATEWAY, {1: machines.document(1)})

    def fetched(path: str) -> str:
        with urlopen(f"http://127.0.0.1:{free_port}{path}") as answer:
            text: str = answer.read().decode()
            return text

    async with at_work(settings.model_copy(update={"monitor_port": free_port})):
        await until(lambda: machines.counts[1] > 30)
        await asyncio.sleep(1)
        health = msgspec.json.decode(await asyncio.to_thread(fetched, "/healthz"))
        assert health["checks"] == {"bus": "ok", "outbox": "ok", "journal": "ok"}
        metrics = await asyncio.to_thread(fetched, "/metrics")
    values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith("muster_gateway"))
    assert float(values["muster_gateway_scans_total"]) > 25
    assert float(values["muster_gateway_batches_published_total"]) > 0
    assert float(values["muster_gateway_publish_seconds_count"]) > 0
    assert float(values["muster_gateway_outbox_bytes"]) > 0
    assert float(values["muster_gateway_paused"]) == 0


async def test_a_key_that_is_none_and_a_folder_in_use_are_refused_by_name(
    settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"key_file .*none\.pem"):
        await gateway.process.run(
            settings.model_copy(update={"key_file": tmp_path / "none.pem"}), asyncio.Event()
        )
    (tmp_path / "text.pem").write_text("no key")
    with pytest.raises(ConfigError, match=r"text\.pem"):
        await gateway.process.run(
            settings.model_copy(update={"key_file": tmp_path / "text.pem"}), asyncio.Event()
        )
    async with at_work(settings):
        await until(lambda: (settings.outbox_dir / "epoch").exists())
        with pytest.raises(ConfigError, match="another gateway process"):
            await gateway.process.run(settings, asyncio.Event())
