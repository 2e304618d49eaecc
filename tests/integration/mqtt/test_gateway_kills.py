"""A real gateway process, killed while QoS 1 messages flow: each is stored once, by its receipts alone.

The payloads bear no timestamp, so that nothing but the receipt tells a redelivery from a new message.
"""

import asyncio
import json
import random
from pathlib import Path

import msgspec

from bus.envelope import Batch
from tests.faults.gateway.road import everything, lay, put, stored_once
from tests.faults.gateway.works import GATEWAY, Process, Server
from tests.integration.mqtt.brokers import Broker, device, mosquitto, publisher, tag

DEVICES = range(1, 6)
KILLS = 2


async def test_a_gateway_killed_again_and_again_stores_every_message_once(
    tmp_path: Path, free_port: int
) -> None:
    server = Server(tmp_path, free_port)
    server.start()
    gateway = Process(tmp_path, server)
    try:
        with mosquitto(tmp_path) as broker:
            client = await server.client()
            await lay(client)
            await put(
                client,
                GATEWAY,
                {
                    number: msgspec.json.encode(device(number, broker.at, [tag(1, "n", path="$.n")], 0.1))
                    for number in DEVICES
                },
            )
            await client.close()
            gateway.start()
            async with asyncio.timeout(20):
                while "muster-test-mqtt" not in broker.log.read_text():
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            sent = await _publish_through_kills(gateway, broker)
            client = await server.client()
            async with asyncio.timeout(40):  # the last process may still be starting
                while sent - set(_values(await everything(client))):
                    await asyncio.sleep(0.5)
            await gateway.stop()
            got = _values(stored_once(await everything(client)))
            await client.close()
    finally:
        for process in (gateway.process, server.process):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
    assert len(sent) > 500
    assert len(got) == len(set(got))
    assert sent <= set(got)


def _values(batches: list[Batch]) -> list[tuple[int, int]]:
    """Return device and value of every scan."""
    return [
        (number, int(value))
        for batch in batches
        for number, value in zip(
            batch.scans.device.tolist(), batch.scans.value[batch.scans.offsets[:-1]].tolist(), strict=True
        )
    ]


async def _publish_through_kills(gateway: Process, broker: Broker) -> set[tuple[int, int]]:
    """Publish until the gateway was killed and started often enough; return what the broker has taken."""
    chance = random.Random(7)
    sent: set[tuple[int, int]] = set()
    stop = asyncio.Event()
    with publisher(broker) as client:

        async def flow() -> None:
            count = 0
            while not stop.is_set():
                infos = []
                for number in DEVICES:
                    for _ in range(4):
                        count += 1
                        info = client.publish(f"plant/press-{number}/data", json.dumps({"n": count}), 1)
                        infos.append((info, number, count))
                await asyncio.sleep(0.05)
                for info, number, value in infos:
                    await asyncio.to_thread(info.wait_for_publish, 10)
                    sent.add((number, value))

        flowing = asyncio.create_task(flow())
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(1.2, 2.2))
            gateway.kill()
            gateway.start()
        await asyncio.sleep(1.5)
        stop.set()
        await flowing
    return sent
