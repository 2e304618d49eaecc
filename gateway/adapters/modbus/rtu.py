"""RTU framing: checksum, and where a reply ends (Modbus over Serial Line V1.02, 2.5.1).

Pure. The standard ends a frame by 3.5 characters of silence, which neither an operating system nor a TCP tunnel keeps;
the length follows from the function instead, and the checksum confirms it.
"""

SHORTEST = 5  # an exception reply: unit, function, code, checksum
LONGEST = 256


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_TABLE = _table()


def crc16(frame: bytes) -> int:
    """Return the CRC-16 of `frame` (polynomial 0xA001 reflected, start 0xFFFF)."""
    crc = 0xFFFF
    for byte in frame:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def with_crc(frame: bytes) -> bytes:
    """Return `frame` with its checksum, low byte first."""
    return frame + crc16(frame).to_bytes(2, "little")


def reply_length(begun: bytes) -> int | None:
    """Return how long the reply that begins with `begun` is, checksum included.

    None while that cannot be told yet; 0 when no reply begins so.
    """
    if len(begun) < 2:
        return None
    function = begun[1]
    if function & 0x80:
        return SHORTEST
    if function in (1, 2, 3, 4):
        if len(begun) < 3:
            return None
        return 5 + begun[2] if begun[2] <= LONGEST - 5 else 0
    if function in (5, 6, 15, 16):
        return 8
    if function == 22:
        return 10
    if function == 43:
        return _identification_length(begun)
    return 0


def _identification_length(begun: bytes) -> int | None:
    """Walk the objects of an identification reply: each is id, length, bytes."""
    if len(begun) < 8:
        return None
    end = 8
    for _ in range(begun[7]):
        if len(begun) < end + 2:
            return None
        end += 2 + begun[end + 1]
        if end + 2 > LONGEST:
            return 0
    return end + 2
