"""A real gateway process and a real NATS server, killed at random moments: no answer is lost in silence.

The equipment counts its answers. Each must be in the stream once and in order, or lie inside a gap that the
gateway said; and a gap of a kill must be short.
"""

import asyncio
import random
import signal
import time

import pytest

from tests.faults.gateway.road import (
    answers,
    everything,
    put,
    stored_once,
)
from tests.faults.gateway.works import DEVICES, GATEWAY, Site


async def test_a_gateway_killed_again_and_again_says_each_gap_and_loses_nothing_else(site: Site) -> None:
    chance = random.Random(6)
    for _ in range(5):
        site.gateway.start()
        await site.polled(40)
        await asyncio.sleep(chance.uniform(0, 0.8))
        site.gateway.kill()
    site.gateway.start()
    await site.polled(60)
    await site.gateway.stop()
    verdict, said = await site.verdict()
    assert verdict.sound, verdict
    assert [reason for reason, _ in said] == ["gateway-down"] * 5
    assert verdict.listed <= 5 * 3 * len(DEVICES), "a kill loses the slot it was in, not more"


async def test_nats_killed_under_load_loses_nothing_and_makes_no_gap(site: Site) -> None:
    site.gateway.start()
    chance = random.Random(7)
    for _ in range(3):
        await site.polled(150)
        await asyncio.sleep(chance.uniform(0, 0.5))
        site.server.kill()
        await site.polled(250)
        site.server.start()
    await site.polled(600)
    await site.gateway.stop()
    verdict, said = await site.verdict()
    assert verdict.sound, verdict
    assert said == []
    assert verdict.stored >= len(site.machines.given) - len(DEVICES)


async def test_documents_are_followed_again_after_nats_was_killed(site: Site) -> None:
    site.gateway.start()
    await site.polled(50)
    site.server.kill()
    await asyncio.sleep(1)
    site.server.start()
    client = await site.server.client()
    await put(client, GATEWAY, {50: site.machines.document(50)})
    await client.close()
    async with asyncio.timeout(10):
        while site.machines.counts[50] < 3:
            await asyncio.sleep(0.05)
    await site.gateway.stop()


@pytest.mark.long
async def test_credentials_that_are_refused_stop_no_acquisition_and_are_tried_again(site: Site) -> None:
    """The server comes back with another password; the gateway's file is changed later."""
    site.gateway.start()
    await site.polled(50)
    site.server.kill()
    site.server.secret[f"gateway-{GATEWAY}"] = "another"
    site.server.start()
    async with asyncio.timeout(30):
        while not site.gateway.said("credentials are refused"):
            await asyncio.sleep(0.1)
    await site.polled(200)
    site.server.settings(f"gateway-{GATEWAY}")
    client = await site.server.client()
    async with asyncio.timeout(30):
        while len(answers(stored_once(await everything(client)))) < 300:
            await asyncio.sleep(0.5)
    await client.close()
    await site.gateway.stop()
    verdict, said = await site.verdict()
    assert verdict.sound, verdict
    assert said == []


async def test_gateway_and_nats_killed_together_while_the_outbox_is_full_of_old_batches(site: Site) -> None:
    site.gateway.start()
    await site.polled(100)
    site.server.kill()
    await site.polled(700)
    site.gateway.kill()
    site.gateway.start()
    await site.polled(300)
    site.gateway.kill()
    site.server.start()
    site.gateway.start()
    await site.polled(700)
    await site.gateway.stop()
    verdict, said = await site.verdict()
    assert verdict.sound, verdict
    assert [reason for reason, _ in said] == ["gateway-down"] * 2


async def test_acknowledgements_that_are_lost_double_nothing(site: Site) -> None:
    """A relay carries batches to the server and, now and then, cuts the line before the answer passes."""
    chance = random.Random(8)
    cuts = 0

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal cuts
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", site.server.port)

        async def down() -> None:
            while data := await up_reader.read(65536):
                if b"seq" in data and chance.random() < 0.1:
                    return
                writer.write(data)

        async def up() -> None:
            while data := await reader.read(65536):
                up_writer.write(data)

        tasks = [asyncio.create_task(down()), asyncio.create_task(up())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            cuts += tasks[0].done()
        finally:
            for task in tasks:
                task.cancel()
            up_writer.close()
            writer.close()

    relay = await asyncio.start_server(carry, "127.0.0.1", 0)
    async with relay:
        port = relay.sockets[0].getsockname()[1]
        site.gateway.extra["bus"] = site.server.settings(f"gateway-{GATEWAY}", port).model_dump(mode="json")
        site.gateway.start()
        async with asyncio.timeout(60):
            while cuts < 4:
                await asyncio.sleep(0.1)
        await site.gateway.stop()
    del site.gateway.extra["bus"]
    site.gateway.start()
    await site.polled(200)
    await site.gateway.stop()
    verdict, said = await site.verdict()
    assert verdict.sound, verdict
    assert [reason for reason, _ in said] == ["gateway-stopped"]


async def test_a_stopped_process_that_goes_on_does_not_claim_the_time_in_between(site: Site) -> None:
    site.gateway.start()
    await site.polled(100)
    assert site.gateway.process is not None
    site.gateway.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(6)
    site.gateway.process.send_signal(signal.SIGCONT)
    await site.polled(100)
    began = time.monotonic()
    await site.gateway.stop()
    assert time.monotonic() - began < 10
    verdict, said = await site.verdict()
    assert verdict.sound, verdict
    ((reason, length),) = said
    assert reason == "gateway-stalled"
    assert 5 < length < 8
