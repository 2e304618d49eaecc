"""What ingest knows of gateways and devices: read from the database, kept as arrays by device number.

It is refreshed when the database says that a device changed, and at once when a batch names something
unknown.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from numpy.typing import NDArray
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from bus.keys import public_key
from muster.clock import Clock
from muster.errors import Rejected
from muster.presence import Definition
from store.connection import translated
from store.queries import load

_log = structlog.get_logger()
QUERIES = load("ingest", "queries.sql")
LEAST_BETWEEN_S = 5.0
MANY = 2000
"""More changed devices than this are read by reading all."""


@dataclass(frozen=True, slots=True)
class GatewayEntry:
    """One gateway: its enterprise (None: the operator's) and the keys its batches may be signed with."""

    enterprise: int | None
    keys: tuple[Ed25519PublicKey, ...]


@dataclass(slots=True)
class Registry:
    """Gateways and devices as last read. Arrays are indexed by device number; gateway 0 means none."""

    definition: Definition
    clock: Clock
    gateways: dict[int, GatewayEntry] = field(default_factory=dict)
    enterprise: NDArray[np.int32] = field(default_factory=lambda: np.zeros(1, np.int32))
    gateway: NDArray[np.int32] = field(default_factory=lambda: np.zeros(1, np.int32))
    positions: NDArray[np.int32] = field(default_factory=lambda: np.zeros(1, np.int32))
    window_us: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    retired: NDArray[np.bool_] = field(default_factory=lambda: np.ones(1, np.bool_))
    version: int = 0
    _former: dict[int, frozenset[int]] = field(default_factory=dict)
    _changed: set[int] = field(default_factory=set)
    _all_changed: bool = False
    _looked: dict[int, float] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def changed(self, device: int) -> None:
        """Note that a device's row changed; `refresh` reads it."""
        self._changed.add(device)

    def gateways_changed(self) -> None:
        """Note that a gateway or a key changed; `refresh` reads everything."""
        self._all_changed = True

    @property
    def stale(self) -> bool:
        """Whether something changed since the last reading."""
        return self._all_changed or bool(self._changed)

    async def load(self, connection: AsyncConnection[TupleRow]) -> None:
        """Read everything."""
        async with self._lock:
            self._changed.clear()
            self._all_changed = False
            await self._read(connection, None)

    async def refresh(self, connection: AsyncConnection[TupleRow]) -> None:
        """Read what changed since the last reading."""
        async with self._lock:
            if not self.stale:
                return
            numbers, self._changed = list(self._changed), set()
            is_much, self._all_changed = self._all_changed or len(numbers) > MANY, False
            await self._read(connection, None if is_much else numbers)

    async def look_again(self, connection: AsyncConnection[TupleRow], gateway: int, version: int) -> bool:
        """Read everything because a batch of `gateway` names something unknown to `version` of this registry.

        Returns whether a newer version is here now. It is not read twice in a moment for the same gateway:
        whoever floods the bus with batches that are refused does not make the database work for each.
        """
        async with self._lock:
            if self.version != version:
                return True
            now = self.clock.monotonic()
            if now - self._looked.get(gateway, float("-inf")) < LEAST_BETWEEN_S:
                return False
            if len(self._looked) >= MANY:
                self._looked.clear()
            self._looked[gateway] = now
            await self._read(connection, None)
            return True

    async def _read(self, connection: AsyncConnection[TupleRow], numbers: list[int] | None) -> None:
        given = {"numbers": numbers}
        with translated():
            devices = await (await connection.execute(QUERIES["devices"], given)).fetchall()
            former = await (await connection.execute(QUERIES["former_gateways"], given)).fetchall()
            gateways = await (await connection.execute(QUERIES["gateways"])).fetchall()
        self.gateways = {
            number: GatewayEntry(enterprise, _usable(number, keys)) for number, enterprise, keys in gateways
        }
        self._put(devices)
        found: dict[int, set[int]] = {}
        for device, gateway in former:
            found.setdefault(device, set()).add(gateway)
        self._former.update({device: frozenset(gateways) for device, gateways in found.items()})
        self.version += 1

    def _put(self, rows: Iterable[TupleRow]) -> None:
        rows = list(rows)
        if not rows:
            return
        number = np.array([row[0] for row in rows], np.intp)
        room = int(number.max()) + 1 - len(self.gateway)
        if room > 0:
            self.enterprise = np.concatenate([self.enterprise, np.zeros(room, np.int32)])
            self.gateway = np.concatenate([self.gateway, np.zeros(room, np.int32)])
            self.positions = np.concatenate([self.positions, np.zeros(room, np.int32)])
            self.window_us = np.concatenate([self.window_us, np.zeros(room, np.int64)])
            self.retired = np.concatenate([self.retired, np.ones(room, np.bool_)])
        self.enterprise[number] = [row[1] for row in rows]
        self.gateway[number] = [row[2] for row in rows]
        self.window_us[number] = [self.definition.window_us(row[3]) for row in rows]
        self.retired[number] = [row[4] for row in rows]
        self.positions[number] = [row[5] for row in rows]

    def strangers(self, gateway: int, device: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return those of `device` ((n,)) that are not and never were the gateway's, each once."""
        inside = (device > 0) & (device < len(self.gateway))
        strange = ~inside | (self.gateway[np.where(inside, device, 0)] != gateway)
        if not strange.any():
            return np.empty(0, np.int32)
        doubtful = np.unique(device[strange])
        kept = [number for number in doubtful.tolist() if gateway not in self._former.get(number, ())]
        return np.array(kept, np.int32)

    def devices_of(self, gateway: int, partition: int, stride: int) -> NDArray[np.int32]:
        """Return the devices that the gateway watches now in a partition."""
        here = (self.gateway == gateway) & ~self.retired
        here &= np.arange(len(self.gateway)) % stride == partition
        return np.flatnonzero(here).astype(np.int32)


def _usable(gateway: int, raw: Iterable[bytes]) -> tuple[Ed25519PublicKey, ...]:
    """Return those of a gateway's keys that may be one; what another signs is refused."""
    found = []
    for key in raw:
        try:
            found.append(public_key(key))
        except Rejected as error:
            _log.error("gateway-key-unusable", gateway=gateway, problem=str(error))
    return tuple(found)
