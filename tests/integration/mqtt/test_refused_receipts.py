"""A disk that takes no receipts: what they stand for does not become durable, so what comes again is stored once."""

from pathlib import Path

import pytest

from gateway.adapters.mqtt.receipts import Receipts
from muster.device import Device
from muster.errors import Unavailable
from tests.integration.mqtt.brokers import Broker, Outbox, device, mosquitto, publisher, tag, until, working


class Disk:
    """Lets receipts be written, or not."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.full = False
        flush = Receipts.flush

        def refusing(receipts: Receipts) -> None:
            if self.full:
                raise Unavailable("no space left on device")
            flush(receipts)

        patch.setattr(Receipts, "flush", refusing)


def publish(broker: Broker, first: int) -> None:
    with publisher(broker) as client:
        for number in range(first, first + 10):
            client.publish("plant/press-1/data", str(number), 1).wait_for_publish(10)


def press(broker: Broker) -> Device:
    return device(1, broker.at, [tag(1, "n")])


async def hear_ten(disk: Disk, broker: Broker, outbox: Outbox) -> None:
    """Hear messages whose receipts the disk does not take."""
    disk.full = True
    publish(broker, 0)
    await until(lambda: len(outbox.scans) == 10)


async def hear_ten_more(broker: Broker, outbox: Outbox) -> None:
    publish(broker, 10)
    await until(lambda: len(outbox.scans) >= 20)


def numbers(outbox: Outbox) -> list[float]:
    return sorted(float(scan.value[0]) for scan in outbox.scans)


async def test_what_was_heard_waits_for_its_receipts_and_is_stored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, outbox = Disk(monkeypatch), Outbox(at_once=False)
    with mosquitto(tmp_path) as broker:
        async with working(tmp_path, press(broker), outbox=outbox):
            await hear_ten(disk, broker, outbox)
            sealed = outbox.sealed
            outbox.seal()
            assert outbox.sealed == sealed
            await until(lambda: "mqtt.receipts-unusable" in outbox.reasons("session_down"))
            disk.full, outbox.at_once = False, True
            outbox.seal()
            await hear_ten_more(broker, outbox)
    assert numbers(outbox) == [float(number) for number in range(20)]


async def test_after_a_kill_on_a_full_disk_what_comes_again_is_stored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, outbox = Disk(monkeypatch), Outbox(at_once=False)
    with mosquitto(tmp_path) as broker:
        async with working(tmp_path, press(broker), outbox=outbox):
            await hear_ten(disk, broker, outbox)
            outbox.seal()
        outbox.scans.clear()  # not durable, so the killed process takes it along
        outbox.cutting.clear()
        disk.full, outbox.at_once = False, True
        async with working(tmp_path, press(broker), outbox=outbox):
            await until(lambda: len(outbox.scans) >= 10)
            await hear_ten_more(broker, outbox)
    assert numbers(outbox) == [float(number) for number in range(20)]


async def test_a_session_that_is_over_writes_its_receipts_as_soon_as_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, outbox = Disk(monkeypatch), Outbox(at_once=False)
    with mosquitto(tmp_path) as broker:
        async with working(tmp_path, press(broker), outbox=outbox):
            await hear_ten(disk, broker, outbox)
        sealed = outbox.sealed
        outbox.seal()
        assert outbox.sealed == sealed
        disk.full = False
        outbox.seal()
        assert outbox.sealed == sealed + 1
        assert outbox.cutting == []
        outbox.at_once = True
        async with working(tmp_path, press(broker), outbox=outbox):
            await hear_ten_more(broker, outbox)
    assert numbers(outbox) == [float(number) for number in range(20)]
