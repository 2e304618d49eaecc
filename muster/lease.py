"""Leases of processes that share devices: what a lease says, and the times that keep two from polling one device."""

import msgspec

RENEW_S = 2.0
"""How often a process renews its lease."""

STOP_S = 7.0
"""A process stops this long after it asked for its last renewal."""

LEASE_S = 10.0
"""Others may have its devices this long after its last renewal was seen; the difference bears slow clocks."""


class LeaseNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stands under a process's key.

    owner: drawn by each process at its start. term: rises whenever the lease is obtained anew, µs since 1970.
    ended: nobody holds it, because its owner let go or its time ran out. released: devices that its owner stopped when
    asked to and that nobody holds yet.
    """

    owner: str
    term: int
    ended: bool = False
    released: list[int] = []
