"""Public keys under which a signature fits one text only, and none else, are a gateway's."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from bus.keys import public_key
from muster.errors import Rejected

SMALL = [
    *("01" + 31 * "00", "ec" + 30 * "ff" + "7f", 32 * "00", 31 * "00" + "80"),
    *("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc" + sign for sign in ("05", "85")),
    *("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03" + sign for sign in ("7a", "fa")),
]
"""The points of the orders 1, 2, 4, 4, and 8 four times."""
FORGED = bytes.fromhex("01" + 63 * "00")
"""R is the neutral point and S is 0: what it signs plays a part only in by which multiple the key is taken."""


def takes(raw: bytes, text: bytes) -> bool:
    """Tell whether OpenSSL takes the forged signature for a text."""
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(FORGED, text)
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("point", SMALL)
def test_a_key_of_small_order_is_refused_for_one_signature_fits_many_texts(point: str) -> None:
    raw = bytes.fromhex(point)
    assert sum(takes(raw, b"batch %d" % number) for number in range(100)) > 3
    with pytest.raises(Rejected, match="small order"):
        public_key(raw)


@pytest.mark.parametrize(
    "raw", [b"", bytes(31), bytes(33), b"\x02" + bytes(31), b"\xff" * 32, b"\xee" + 30 * b"\xff" + b"\x7f"]
)
def test_what_is_no_point_is_refused(raw: bytes) -> None:
    with pytest.raises(Rejected, match="not one of Ed25519"):
        public_key(raw)


@given(st.binary(min_size=32, max_size=32))
def test_every_key_that_was_made_is_taken(seed: bytes) -> None:
    made = Ed25519PrivateKey.from_private_bytes(seed)
    public_key(made.public_key().public_bytes_raw()).verify(made.sign(b"text"), b"text")
