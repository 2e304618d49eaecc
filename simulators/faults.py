"""Faults on demand: what a device, an endpoint or everything does wrong, and what that does to a reply."""

import random
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """Every way in which simulated equipment can fail."""

    DROP = "drop"  # the connection is closed instead of an answer
    HALF_OPEN = "half-open"  # connections are accepted, nothing is ever answered
    SLOW = "slow"  # every answer comes late
    FREEZE = "freeze"  # answers come, values stand still
    GARBAGE = "garbage"  # random bytes instead of an answer
    WRONG_FUNCTION = "wrong-function"  # the reply names another function than the request
    WRONG_UNIT = "wrong-unit"  # the reply comes from another unit
    WRONG_TRANSACTION = "wrong-transaction"  # the reply belongs to no request
    SHORT_REPLY = "short-reply"  # the reply announces more bytes than it has
    EXCEPTION = "exception"  # every request is refused with "server device failure"
    REFUSE = "refuse"  # nobody listens on the endpoint's port; a publisher stays away
    HEARTBEAT = "heartbeat"  # the machine says that it is alive, and no values
    RETAINED = "retained"  # values come as retained messages
    OVERSIZE = "oversize"  # messages are larger than anybody takes
    DUPLICATE_CLIENT = "duplicate-client"  # a second client uses the same client id
    SUBSCRIPTION_LOST = "subscription-lost"  # the server forgets all subscriptions, sessions stay
    RESTART = "restart"  # the server ends and begins anew
    SILENT = "silent"  # connections stay open and are accepted, nothing is read or said
    KEEPALIVE_SILENT = "keepalive-silent"  # requests are answered, subscriptions say nothing any more
    CERTIFICATE_EXPIRED = "certificate-expired"  # the server begins anew with a certificate that has expired
    CLOCK_AHEAD = "clock-ahead"  # the source's clock is an hour ahead
    CLOCK_BEHIND = "clock-behind"  # the source's clock is an hour behind
    REPLAYED = "replayed"  # what was said at the fault's beginning is said again and again, its old time too
    ODD_TOPIC = (
        "odd-topic"  # said on a topic with a space and Chinese characters as well: some brokers hang up
    )
    BIRTH_STORM = "birth-storm"  # an edge node is born anew with every step
    DEVICE_DEATH = "device-death"  # an edge node says that the machine is dead


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; delay_s: how late a slow answer is, in seconds."""

    kind: FaultKind
    delay_s: float = 5.0


SHIFTS_S: Mapping[FaultKind | None, int] = {FaultKind.CLOCK_AHEAD: 3600, FaultKind.CLOCK_BEHIND: -3600}
"""By how much a source's clock is wrong, in seconds."""
_HEAD = struct.Struct(">HHHB")


def spoil(kind: FaultKind, transaction: int, unit: int, reply: bytes, chance: random.Random) -> bytes:
    """Return the bytes that go out in place of the frame of `reply`, for the kinds that alter it."""
    match kind:
        case FaultKind.GARBAGE:
            return chance.randbytes(chance.randint(4, 64))
        case FaultKind.WRONG_FUNCTION:
            reply = bytes((reply[0] % 0x7F + 1,)) + reply[1:]
        case FaultKind.WRONG_UNIT:
            unit = (unit + 1) % 256
        case FaultKind.WRONG_TRANSACTION:
            transaction = (transaction + 0x5555) % 0x10000
        case FaultKind.SHORT_REPLY:
            reply = reply[: max(1, len(reply) // 2)]
        case FaultKind.EXCEPTION:
            reply = bytes((reply[0] | 0x80, 4))
        case _:
            pass
    return _HEAD.pack(transaction, 0, len(reply) + 1, unit) + reply
