"""Public keys of gateways (Ed25519, RFC 8032): which 32 bytes may be one. Pure.

RFC 8032 and OpenSSL take points of small order as keys, and with such a key one signature fits many texts: whoever
enrolled it could disown what it signed, or have it forged.
"""

from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from muster.errors import Rejected

_BYTES = 32
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P)
_DOUBLINGS = 3
"""The curve has 8 times as many points as the group that is used (RFC 8032, 5.1)."""


@lru_cache(4096)
def public_key(raw: bytes) -> Ed25519PublicKey:
    """Return the key that these bytes are.

    Raises:
        Rejected: they are no point of the curve (RFC 8032, 5.1.3), or one of small order.
    """
    y = int.from_bytes(raw, "little") & (1 << 255) - 1
    if len(raw) != _BYTES or y >= _P or not _is_square(_x_squared(y)):
        raise Rejected("public key: not one of Ed25519")
    for _ in range(_DOUBLINGS):  # RFC 8032, 5.1.4, of which y and the square of x are enough
        xx, yy = _x_squared(y), y * y
        y = (yy + xx) * pow(2 + xx - yy, -1, _P) % _P
    if y == 1:
        raise Rejected("public key: of small order, one signature would fit many texts")
    return Ed25519PublicKey.from_public_bytes(raw)


def _x_squared(y: int) -> int:
    """Return the square of x that the curve's equation gives for y."""
    return (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P


def _is_square(number: int) -> bool:
    return pow(number, (_P - 1) // 2, _P) in (0, 1)
