"""Three processes share one gateway's devices: killed, paused or cut off, one at a time speaks for each device.

Whatever happens, every answer of the equipment is stored once and in order or lies in a listed gap, and no scan was
received by a process that did not hold its device at that instant.
"""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.stack import Stack, stack, wait_until
from tests.faults.test_kill_rounds import account

DEVICES = 60
PROCESSES = ("demo-1", "demo-1.2", "demo-1.3")
HELD = """
    select g.code, count(d.id)::integer from gateway g
    left join device d on d.held_by = g.id and d.retired_at is null group by g.code
"""
STRAYS = """
    select s.device, s.received, g.code from scan s join batch b on b.id = s.batch join gateway g on g.id = b.gateway
    where b.gateway is distinct from (
        select h.gateway from device_history h where h.device = s.device and h.recorded_at <= s.received
        order by h.recorded_at desc, h.version desc limit 1)
"""

LATE = """
    select count(*) from scan s join batch b on b.id = s.batch join device d on d.id = s.device
    join gateway g on g.id = b.gateway
    where g.code = 'demo-1.2' and d.pinned_to is null and b.recorded_at > s.received + interval '8 s'
"""


def held(whole: Stack) -> dict[str, int]:
    """Return how many devices each process holds."""
    return dict(whole.query(HELD))


def seated(whole: Stack, wanted: dict[str, int]) -> Callable[[], bool]:
    return lambda: held(whole) == wanted and whole.count()["rehearsal"]["connected"] == DEVICES


def newest(whole: Stack) -> int:
    """Return how many devices have a scan of the last two seconds from the process that holds them."""
    (row,) = whole.query(
        "select count(distinct s.device) from scan s join batch b on b.id = s.batch join device d on d.id = s.device"
        " where s.received > now() - interval '2 s' and b.gateway = d.held_by"
    )
    return int(row[0])


def finish(whole: Stack) -> None:
    """Check what must hold whatever happened."""
    assert whole.query(STRAYS) == []
    reasons = {row[0] for row in whole.query("select distinct reason from gap where device is not null")}
    assert "handed-over" in reasons, reasons
    account(whole)


EVEN = dict.fromkeys(PROCESSES, 20)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_killed_process_is_replaced_and_gets_its_part_again(free_port: int) -> None:
    with stack(DEVICES, free_port, processes=3) as whole:
        wait_until(seated(whole, EVEN), "an even share")
        settings = whole.root / "data" / "run" / "gateway-demo-1.2.json"
        content = settings.read_text("utf-8")
        settings.write_text("{}", "utf-8")  # so that it stays away although the launcher starts it again
        whole.kill("gateway-demo-1.2")
        began = time.monotonic()
        wait_until(seated(whole, {**EVEN, "demo-1": 30, "demo-1.2": 0, "demo-1.3": 30}), "a takeover")
        wait_until(lambda: newest(whole) == DEVICES, "every device polled")
        print(f"full again {time.monotonic() - began:.1f} s after the kill")
        assert whole.count()["rehearsal"]["connected"] == DEVICES
        settings.write_text(content, "utf-8")
        wait_until(seated(whole, EVEN), "the even share again", 180)
        wait_until(lambda: newest(whole) == DEVICES, "every device polled")
        finish(whole)


@pytest.mark.timeout(400)
def test_a_process_that_wakes_after_it_was_replaced_polls_nothing_of_what_it_lost(free_port: int) -> None:
    with stack(DEVICES, free_port, processes=2) as whole:
        wait_until(seated(whole, {"demo-1": 30, "demo-1.2": 30}), "an even share")
        pid = whole.pid("gateway-demo-1")
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(seated(whole, {"demo-1": 0, "demo-1.2": 60}), "a takeover")
            wait_until(lambda: newest(whole) == DEVICES, "every device polled")
        finally:
            woken_us = time.time_ns() // 1000
            os.kill(pid, signal.SIGCONT)
        log = whole.root / "data" / "logs" / "gateway-demo-1.log"
        wait_until(lambda: log.read_text("utf-8").count("lease-obtained") == 2, "a new lease")
        kept_us = time.time_ns() // 1000
        wait_until(seated(whole, {"demo-1": 30, "demo-1.2": 30}), "the even share again", 180)
        finish(whole)
        stored = {(answer.device, answer.count) for answer in whole.stored()}
        given = [answer for answer in whole.given() if woken_us <= answer.at_us <= kept_us]
        assert given
        asked_in_vain = [answer for answer in given if (answer.device, answer.count) not in stored]
        assert not asked_in_vain, "whoever woke up asked the equipment and could not keep the answers"


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_process_cut_off_from_the_bus_stops_before_another_begins_and_its_pinned_devices_go_on(
    free_port: int,
) -> None:
    with stack(DEVICES, free_port, processes=2) as whole:
        wait_until(seated(whole, {"demo-1": 30, "demo-1.2": 30}), "an even share")
        settings = whole.root / "data" / "run" / "gateway-demo-1.2.json"
        with road(settings) as cut:
            whole.muster("gateway", "pin", "demo-1.2", "C-0001", "C-0002")
            whole.kill("gateway-demo-1.2")
            pinned = "select held_by = pinned_to and held_term = 0 from device where pinned_to is not null"
            wait_until(lambda: whole.query(pinned) == [(True,), (True,)], "two pinned devices")
            wait_until(lambda: newest(whole) == DEVICES, "every device polled")
            cut.set()
            wait_until(lambda: held(whole) == {"demo-1": 58, "demo-1.2": 2}, "a takeover")
            wait_until(lambda: newest(whole) == DEVICES - 2, "every other device polled")
            given = len(whole.given())
            pause = whole.query("select clock_timestamp()")[0][0]
            wait_until(lambda: len(whole.given()) > given + 5 * DEVICES, "some more polls")
            cut.clear()
            late = (
                "select count(*) from scan s join device d on d.id = s.device"
                " where d.pinned_to is not null and s.received < %s and s.received > %s - interval '2 s'"
            )
            wait_until(lambda: whole.query(late, pause, pause)[0][0] > 0, "what the outbox kept meanwhile")
            wait_until(lambda: newest(whole) == DEVICES, "every device polled", 120)
            (row,) = whole.query(LATE)
            assert row[0] > 0, "what it read before it stopped is stored, late"
            finish(whole)


@contextmanager
def road(settings: Path) -> Iterator[threading.Event]:
    """Lead a process's way to the bus through here; while the event is set, nothing passes."""
    given = json.loads(settings.read_text("utf-8"))
    there = urlsplit(given["bus"]["url"])
    cut, ends = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        given["bus"]["url"] = f"nats://127.0.0.1:{listener.getsockname()[1]}"
        settings.write_text(json.dumps(given), "utf-8")
        server = threading.Thread(target=_serve, args=(listener, there.port, cut, ends))
        server.start()
        try:
            yield cut
        finally:
            ends.set()
            server.join()


def _serve(listener: socket.socket, port: int | None, cut: threading.Event, ends: threading.Event) -> None:
    carriers = []
    while not ends.is_set():
        try:
            near, _ = listener.accept()
        except TimeoutError:
            continue
        if cut.is_set():
            near.close()
            continue
        far = socket.create_connection(("127.0.0.1", port or 0))
        for one, other in ((near, far), (far, near)):
            carriers.append(threading.Thread(target=_carry, args=(one, other, cut, ends)))
            carriers[-1].start()
    for carrier in carriers:
        carrier.join()


def _carry(one: socket.socket, other: socket.socket, cut: threading.Event, ends: threading.Event) -> None:
    one.settimeout(0.2)
    with one:
        while not (cut.is_set() or ends.is_set()):
            try:
                content = one.recv(65536)
                if not content:
                    break
                other.sendall(content)
            except TimeoutError:
                continue
            except OSError:
                break
        try:
            other.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
