"""Deliveries: acknowledgements keep the order in which messages came, whatever slot holds them."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.mqtt.deliveries import Deliveries


def test_a_message_is_acknowledged_once_its_slot_is_durable() -> None:
    deliveries = Deliveries()
    deliveries.add(4, 1, 1, b"one")
    deliveries.add(4, 258, 2, b"two")
    deliveries.add(5, 3, 1, b"three")
    assert deliveries.take(3) == (b"", [])
    assert 258 in deliveries
    assert deliveries.take(4) == (b"\x40\x02\x00\x01\x70\x02\x01\x02", [(b"one", 4), (b"two", 4)])
    assert 258 not in deliveries
    deliveries.add(5, 4, 1, b"four")
    assert list(deliveries.digests()) == [b"three", b"four"]
    deliveries.clear()
    assert deliveries.take(9) == (b"", [])
    assert 3 not in deliveries


@given(st.lists(st.integers(1, 4), max_size=30), st.lists(st.integers(0, 5)))
def test_acknowledgements_keep_the_order_of_arrival(slots: list[int], seals: list[int]) -> None:
    deliveries = Deliveries()
    for number, slot in enumerate(slots, 1):
        deliveries.add(slot, number, 1, b"%d" % number)
    sent = b""
    durable = 0
    for seal in [*seals, 5]:
        durable = max(durable, seal)
        packets, digests = deliveries.take(durable)
        assert all(slot <= durable for _, slot in digests)
        sent += packets
    assert sent == b"".join(b"\x40\x02" + number.to_bytes(2, "big") for number in range(1, len(slots) + 1))
