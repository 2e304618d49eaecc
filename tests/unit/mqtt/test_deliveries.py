"""Deliveries: acknowledgements keep the order in which messages came, whatever slot holds them."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.mqtt.deliveries import Deliveries


def test_a_message_is_acknowledged_once_its_slot_is_durable() -> None:
    deliveries = Deliveries()
    deliveries.add(4, 1, [1, 7], [b"one", b"seven"])
    deliveries.add(4, 2, [258], [b"two"])
    deliveries.add(5, 1, [3], [b"three"])
    assert deliveries.take(3) == (b"", [])
    assert 258 in deliveries
    packets = b"\x40\x02\x00\x01\x40\x02\x00\x07\x70\x02\x01\x02"
    assert deliveries.take(4) == (packets, [(4, [b"one", b"seven", b"two"])])
    assert 258 not in deliveries
    assert 7 not in deliveries
    deliveries.add(5, 1, [4], [b"four"])
    assert list(deliveries.digests()) == [b"three", b"four"]
    deliveries.clear()
    assert deliveries.take(9) == (b"", [])
    assert 3 not in deliveries


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), max_size=30), st.lists(st.integers(0, 5)))
def test_acknowledgements_keep_the_order_of_arrival(arrived: list[tuple[int, int]], seals: list[int]) -> None:
    deliveries = Deliveries()
    last = 0
    for slot, count in arrived:
        numbers = list(range(last + 1, last + 1 + count))
        deliveries.add(slot, 1, numbers, [b"%d" % number for number in numbers])
        last += count
    sent = b""
    receipts: list[bytes] = []
    durable = 0
    for seal in [*seals, 5]:
        durable = max(durable, seal)
        packets, taken = deliveries.take(durable)
        assert all(slot <= durable for slot, _ in taken)
        sent += packets
        receipts += [digest for _, digests in taken for digest in digests]
    assert sent == b"".join(b"\x40\x02" + number.to_bytes(2, "big") for number in range(1, last + 1))
    assert receipts == [b"%d" % number for number in range(1, last + 1)]
