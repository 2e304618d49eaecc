"""All machines of one kind at work: settings out of the image, a step of physics, values into the image."""

import numpy as np
from numpy.typing import NDArray

from simulators.machines.physics import Moment
from simulators.machines.points import Kind, Point, Values, from_registers, to_registers
from simulators.modbus.units import Image, Table

_WARM_UP_STEPS = 80


class Group:
    """The machines of one kind. base: (n,) the first register of each machine in the image."""

    def __init__(
        self, kind: Kind, image: Image, base: NDArray[np.int64], idle: NDArray[np.bool_], seed: int
    ) -> None:
        self.kind = kind
        self.frozen = np.zeros(len(base), np.bool_)
        self._image = image
        self._base = base
        number = sum(kind.code.encode())
        self._machines = kind.create(len(base), np.random.default_rng((seed, number)))
        measured = [point for point in kind.points if not point.writable]
        self._registers = {
            table: _columns([p for p in measured if p.table == name])
            for table, name in ((Table.HOLDING, "holding"), (Table.INPUT, "input"))
        }
        self._bits = [point for point in measured if point.table == "discrete"]
        for point in kind.settings:
            self._set_initial(point, idle)

    @property
    def power_kw(self) -> Values:
        """What each machine draws now."""
        return self._machines.power_kw

    def shown(self) -> Values:
        """Return (n, points) what everything that can be read says now, in engineering units."""
        return np.stack([self._held(point) for point in self.kind.points], axis=1)

    def warm_up(self, moment: Moment) -> None:
        """Let the machines come to a state as after hours of work; the image is not touched."""
        settings = self._settings()
        for _ in range(_WARM_UP_STEPS):
            self._machines.step(moment, settings)

    def step(self, moment: Moment) -> None:
        """Move all machines on and show their values, but those of frozen machines."""
        values = self._machines.step(moment, self._settings())
        rows = slice(None) if not self.frozen.any() else ~self.frozen
        base = self._base[rows]
        for table, points in self._registers.items():
            if points:
                where, block = self._block(points, values)
                self._image.words[table, base[:, None] + where] = block[rows]
        for point in self._bits:
            self._image.bits[1, base + point.register] = values[point.name][rows] > 0.5

    def _block(
        self, points: dict[int, list[Point]], values: dict[str, Values]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
        where: list[int] = []
        pieces: list[NDArray[np.uint16]] = []
        for register, here in points.items():
            if here[0].bit is None:
                piece = to_registers(
                    here[0], np.asarray(values[here[0].name], np.float64), self.kind.word_order
                )
            else:
                word = np.zeros(len(self._base), ">u2")
                for point in here:
                    word |= (values[point.name] > 0.5).astype(">u2") << np.uint16(point.bit or 0)
                piece = word[:, None]
            where.extend(range(register, register + piece.shape[1]))
            pieces.append(piece)
        return np.array(where), np.concatenate(pieces, axis=1)

    def _settings(self) -> dict[str, Values]:
        """Return what the writable points hold now."""
        return {point.name: self._held(point) for point in self.kind.settings}

    def _held(self, point: Point) -> Values:
        """Return (n,) what a point's registers or bits say now, in engineering units."""
        place = self._base + point.register
        if point.table in ("coil", "discrete"):
            bits: Values = self._image.bits[0 if point.table == "coil" else 1, place].astype(np.float64)
            return bits
        words = self._image.words[
            0 if point.table == "holding" else 1, place[:, None] + np.arange(point.width)
        ]
        if point.bit is not None:
            flags: Values = (words[:, 0] >> point.bit & 1).astype(np.float64)
            return flags
        return from_registers(point, words, self.kind.word_order)

    def _set_initial(self, point: Point, idle: NDArray[np.bool_]) -> None:
        place = self._base + point.register
        values = (
            np.where(idle, 0.0, point.initial) if point.name == "start" else np.full(len(idle), point.initial)
        )
        if point.table == "coil":
            self._image.bits[0, place] = values > 0.5
            self._image.writable_bits[place] = True
            return
        if point.bit is not None:
            words = ((values > 0.5).astype(np.uint16) << np.uint16(point.bit))[:, None]
        else:
            words = to_registers(point, values, self.kind.word_order)
        cells = place[:, None] + np.arange(point.width)
        self._image.words[0, cells] = words
        self._image.writable_words[cells] = True


def _columns(points: list[Point]) -> dict[int, list[Point]]:
    """Return the points by their first register; bits of one register come together."""
    found: dict[int, list[Point]] = {}
    for point in points:
        found.setdefault(point.register, []).append(point)
    return found
