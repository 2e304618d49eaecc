"""What a gateway says beside its scans: sessions, answers, identities, errors, gaps.

Events travel in the header of a batch, in the order in which they happened.
"""

from typing import Any, Literal

import msgspec

EventKind = Literal[
    "session_up",  # a transport session to the device was opened
    "session_down",  # it ended; `reason` says how
    "answer",  # a valid protocol answer that holds no Good process value
    "error",  # why a poll brought nothing; sent when the reason changes, not for each poll
    "identity",  # what the device says it is; `detail` holds the evidence, `origin` what follows from it
    "gap",  # acquisition that did not happen from `at` to `until`; `polls` is how many, where known
    "clock",  # the source's clock less ours was measured: `detail["offset_us"]`, and `["accuracy_us"]`
    "removed",  # this gateway no longer watches the device
]


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened to one device (or, with device 0, to the gateway itself).

    at, until: µs since 1970, by the gateway's clock.
    reason: a message key of the catalogue (`muster/messages`), such as `timeout` or `connection-refused`.
    detail: facts that fill the message, or an identity's evidence.
    """

    kind: EventKind
    device: int
    at: int
    until: int | None = None
    reason: str = ""
    detail: dict[str, Any] = {}
    origin: str | None = None
    polls: int | None = None


class TextReading(msgspec.Struct, frozen=True, array_like=True):
    """A reading that a float64 cannot hold exactly: text, or an integer beyond 2^53 as decimal digits."""

    device: int
    position: int
    time: int
    received: int
    value: str
    quality: int = 0
