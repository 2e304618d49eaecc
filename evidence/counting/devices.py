"""The devices of a frame at an instant: one by one for who reads them, by what they have in common for who counts.

Pure. Most devices of a frame differ in number, code and name only, so what they have in common is kept once.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from evidence.counting.arrays import Raw
from muster.clock import to_datetime, to_us
from muster.device import Origin
from muster.presence import State

NEVER = np.iinfo(np.int64).min
"""In a column of times: nobody can say."""


class Kind(NamedTuple):
    """What devices have in common; the fields of `DeviceAt` of the same names."""

    enterprise: str
    industry: str
    device_class: str
    consumes_energy: bool
    protocol: str
    origin: Origin
    state: State
    reason: str


class DeviceAt(NamedTuple):
    """One device of the frame at an instant, as known at another.

    origin: the most pessimistic of what ledger and device say. reason: a catalogue key, why it is in `state`.
    since: from when on it was in that state; None when nobody can say.
    """

    device: int
    code: str
    name: str
    enterprise: str
    industry: str
    device_class: str
    consumes_energy: bool
    protocol: str
    origin: Origin
    state: State
    reason: str
    since: datetime | None


class Labels:
    """Codes and names in groups, as JSON arrays from the database; a group is read when one of it is asked for."""

    def __init__(self, raw: Sequence[tuple[Raw, Raw]]) -> None:
        self._raw = raw
        self._read: dict[int, tuple[list[str], list[str]]] = {}

    def of(self, group: int, place: int) -> tuple[str, str]:
        """Return code and name of the device at `place` of `group`."""
        if group not in self._read:
            codes, names = self._raw[group]
            self._read[group] = (json.loads(codes or b"[]"), json.loads(names or b"[]"))
        codes_of, names_of = self._read[group]
        return codes_of[place], names_of[place]

    @classmethod
    def given(cls, labels: Sequence[tuple[str, str]]) -> "Labels":
        """Return one group of known (code, name)."""
        made = cls([(None, None)])
        made._read[0] = ([code for code, _ in labels], [name for _, name in labels])
        return made


@dataclass(frozen=True, slots=True, eq=False)
class Devices(Sequence[DeviceAt]):
    """n devices by number. device (n,); kind (n,): place in `kinds`; since (n,) µs or NEVER; all int64.

    group, place: where `labels` has a device's code and name, (n,) int64 each.
    """

    device: NDArray[np.int64]
    kind: NDArray[np.int64]
    since: NDArray[np.int64]
    kinds: Sequence[Kind]
    group: NDArray[np.int64]
    place: NDArray[np.int64]
    labels: Labels

    @classmethod
    def of(cls, devices: Iterable[DeviceAt]) -> "Devices":
        """Return `devices` as columns."""
        if isinstance(devices, Devices):
            return devices
        rows = sorted(devices, key=lambda each: each.device)
        kinds: dict[Kind, int] = {}
        kind = [kinds.setdefault(_kind(each), len(kinds)) for each in rows]
        return cls(
            np.array([each.device for each in rows], np.int64),
            np.array(kind, np.int64),
            np.array([NEVER if each.since is None else to_us(each.since) for each in rows], np.int64),
            list(kinds),
            np.zeros(len(rows), np.int64),
            np.arange(len(rows), dtype=np.int64),
            Labels.given([(each.code, each.name) for each in rows]),
        )

    def __len__(self) -> int:
        return len(self.device)

    @overload
    def __getitem__(self, index: int) -> DeviceAt: ...
    @overload
    def __getitem__(self, index: slice) -> "Devices": ...
    def __getitem__(self, index: int | slice) -> "DeviceAt | Devices":
        if isinstance(index, slice):
            return self.at(np.arange(len(self))[index])
        kind = self.kinds[self.kind[index]]
        code, name = self.labels.of(int(self.group[index]), int(self.place[index]))
        since = int(self.since[index])
        last = None if since == NEVER else to_datetime(since)
        return DeviceAt._make((int(self.device[index]), code, name, *kind, last))

    def __iter__(self) -> Iterator[DeviceAt]:
        return (self[index] for index in range(len(self)))

    def at(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Devices":
        """Return the devices at these places, or where it is True."""
        return Devices(
            self.device[rows],
            self.kind[rows],
            self.since[rows],
            self.kinds,
            self.group[rows],
            self.place[rows],
            self.labels,
        )

    @property
    def of_kind(self) -> Iterator[tuple[Kind, int]]:
        """Each kind that occurs, and how many devices are of it."""
        numbers = np.bincount(self.kind, minlength=len(self.kinds)).tolist()
        return ((kind, number) for kind, number in zip(self.kinds, numbers, strict=True) if number)


def _kind(device: DeviceAt) -> Kind:
    return Kind(
        device.enterprise,
        device.industry,
        device.device_class,
        device.consumes_energy,
        device.protocol,
        device.origin,
        device.state,
        device.reason,
    )
