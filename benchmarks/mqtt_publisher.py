"""Publishes JSON messages of 10 values at a steady rate: the equipment's side of the MQTT benchmarks.

One MQTT 3.1.1 connection, QoS 1, a topic for each device. Packets are put together from parts encoded beforehand, since
a client library would cost more than the gateway that is measured; acknowledgements are read and thrown away. Runs as a
process of its own until killed.
"""

import json
import socket
import struct
import sys
import threading
import time

SLOT_S = 0.02
VALUES = 10
EVERY_TOPIC = "bench/+/data"
_CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05bench"
_PUBLISH_QOS_1 = 0x32
_FRONT = b'{"ts": %d, "values": {"v0": %d'
FIRST_COUNT = 1_000_000
"""The first value counts a device's messages from here on, so that it always has 7 digits."""


def topic(device: int) -> str:
    """Return the topic of a device."""
    return EVERY_TOPIC.replace("+", f"d{device}")


def parts(device: int) -> tuple[bytes, bytes]:
    """Return a device's packet before its identifier and behind its count (7 digits, as its time has 13)."""
    name = topic(device).encode()
    values = {f"v{index}": round(20 + device * 0.1 + index * 1.7, 1) for index in range(1, VALUES)}
    tail = f", {json.dumps(values)[1:]}}}".encode()
    length = 2 + len(name) + 2 + len(_FRONT % (10**12, FIRST_COUNT)) + len(tail)
    header = bytes([_PUBLISH_QOS_1, length % 128 | 128, length // 128])  # always 128 … 16,383
    return header + struct.pack(">H", len(name)) + name, tail


def publish(devices: int, rate: int, port: int) -> None:
    """Publish `rate` messages a second, spread evenly over the devices."""
    broker = socket.create_connection(("127.0.0.1", port))
    broker.sendall(_CONNECT)
    if broker.recv(4) != b"\x20\x02\x00\x00":
        raise RuntimeError("the broker refused the publisher")
    threading.Thread(target=_discard, args=(broker,), daemon=True).start()
    ready = [parts(device) for device in range(devices)]
    print("ready", flush=True)
    begin, sent, slot = time.monotonic(), 0, 0
    while True:
        slot += 1
        time.sleep(max(0.0, begin + slot * SLOT_S - time.monotonic()))
        now = round(time.time() * 1000)
        packets = bytearray()
        for number in range(sent, round(rate * slot * SLOT_S)):
            head, tail = ready[number % devices]
            front = _FRONT % (now, FIRST_COUNT + number // devices)
            packets += head + (number % 65_535 + 1).to_bytes(2, "big") + front + tail
        sent = round(rate * slot * SLOT_S)
        broker.sendall(packets)


def _discard(broker: socket.socket) -> None:
    while broker.recv(65_536):
        pass


if __name__ == "__main__":
    publish(*map(int, sys.argv[1:]))
