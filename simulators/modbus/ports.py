"""Ports to listen on: given, or free ones that are kept for the next start.

A free port is looked for below the range from which the system takes ports for outgoing connections. A port
of that range could be taken by any client while the simulators are away, even by a client that tries to reach
this very port: TCP lets a connection meet itself on loopback, and the port would then stay taken.
"""

import random
import socket
from pathlib import Path

from muster.errors import Unavailable

_LOWEST = 15000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return `count` distinct ports on which nobody listens now, in order.

    Raises:
        Unavailable: there are not so many.
    """
    lowest, below = bounds()
    if below - lowest < 2 * count:
        below = 65536
    found: list[int] = []
    port = random.randrange(lowest, below)
    for _ in range(below - lowest):
        if is_free(host, port):
            found.append(port)
            if len(found) == count:
                return sorted(found)
        port = port + 1 if port + 1 < below else lowest
    raise Unavailable(f"{host}: fewer than {count} free ports between {lowest} and {below}")


def bounds() -> tuple[int, int]:
    """Return the lowest port that is looked at, and the first that belongs to outgoing connections."""
    return _LOWEST, int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32768


def is_free(host: str, port: int) -> bool:
    """Tell whether one can listen on the port now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
