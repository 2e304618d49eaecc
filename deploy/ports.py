"""TCP ports on loopback that nobody listens on, for the parts that only their neighbours talk to."""

import random
import socket

FIRST, LAST = 18400, 19999
"""Below the range from which Linux takes ports for outgoing connections, so they stay free until used."""


def free_ports(count: int) -> list[int]:
    """Return `count` different free ports, at random so that two installations seldom meet."""
    found: list[int] = []
    for port in random.sample(range(FIRST, LAST + 1), LAST - FIRST + 1):
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found
