"""The sink of all rooms: collects what they acquire into slots.

Outside a watch no scan is kept. But sessions open and end then, too, and devices leave: the last such event of
each device waits, and is said first in the next watch.
"""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.slots import SCAN_HEAD, Notice, Slot, heads_of, put_scans, scans_of
from gateway.watch import Break
from muster.clock import EARLIEST_US, LATEST_US
from muster.events import Event, TextReading
from muster.scans import How

_FLOAT64 = np.dtype(np.float64)
_FLOAT64_BYTES = _FLOAT64.itemsize
_INT16 = np.dtype(np.int16)
_pack_head = SCAN_HEAD.pack


def _open() -> bool:
    return False


def _nothing() -> None:
    pass


class Collector:
    """Implements `gateway.adapter.Sink` for every room of the process."""

    def __init__(self, first_number: int) -> None:
        self.scans = 0
        self.readings = 0
        self.refused = 0
        self.events: dict[str, int] = {}
        self.fence: Callable[[], bool] = _open
        """Asked at each poll and each scan: whether this process may not acquire at this instant."""
        self.on_first: Callable[[], None] = _nothing
        """Called when something was put into a slot that was empty."""
        self.on_lull: Callable[[], None] = _nothing
        """Called when a room says that it expects nothing more for the moment."""
        self._full = False
        self._number = first_number
        self._slot: Slot | None = None
        self._untouched = False
        self._missed: dict[tuple[int, str], Event] = {}
        self._sealed = first_number - 1
        self._parted: set[int] = set()
        self._told: list[Callable[[int], None]] = []
        self._cutting: list[Callable[[], bool]] = []

    @property
    def full(self) -> bool:
        """Whether rooms must stop acquiring."""
        return self._full or self.fence()

    @full.setter
    def full(self, value: bool) -> None:
        self._full = value

    @property
    def watching(self) -> bool:
        """Whether there is a watch; without one, whatever arrives is not kept."""
        return self._slot is not None

    @property
    def idle(self) -> bool:
        """Whether nothing was collected since the last cut."""
        return self._slot is None or self._slot.empty

    def mark(self) -> int | None:
        """Return the number of the slot that now collects; None outside any watch, and when full."""
        return None if self._slot is None or self.full else self._slot.number

    @property
    def sealed(self) -> int:
        """The number of the newest durable slot."""
        return self._sealed

    def watch_sealed(self, told: Callable[[int], None]) -> Callable[[], None]:
        """Have `told` called with each new `sealed`; returns what ends it."""
        self._told.append(told)
        return lambda: self._told.remove(told)

    def watch_cut(self, told: Callable[[], bool]) -> Callable[[], None]:
        """Have `told` called before what was put is given to the journal; returns what ends it."""
        self._cutting.append(told)
        return lambda: self._cutting.remove(told)

    def may_be_durable(self) -> bool:
        """Tell whether all is written that must stand before what was put may be durable."""
        return all(told() for told in tuple(self._cutting))

    def tell_sealed(self, through: int) -> None:
        """Say that every slot up to number `through` is durable."""
        if through in self._parted:  # what came while it collected lies in the next one
            through -= 1
        self._parted = {number for number in self._parted if number > through}
        if through > self._sealed:
            self._sealed = through
            for told in tuple(self._told):
                told(through)

    def scan(
        self,
        device: int,
        time: int,
        received: int,
        first: int,
        value: NDArray[np.float64],
        quality: NDArray[np.int16] | None,
        how: How,
    ) -> None:
        """Put one scan. One that would spoil its batch, or outside any watch, is counted and not kept."""
        count = len(value)
        slot = self._taking(time, first, count > 0 and (quality is None or len(quality) == count))
        if slot is None:
            return
        if value.dtype is not _FLOAT64:
            value = value.astype(np.float64)
        slot.heads += _pack_head(device, time, received, first, count, how, quality is not None)
        slot.values += value.tobytes()
        if quality is not None:
            slot.qualities += (quality if quality.dtype is _INT16 else quality.astype(np.int16)).tobytes()
        self.scans += 1
        self.readings += count

    def good(self, device: int, time: int, received: int, first: int, value: bytes, how: How) -> None:
        """Put one scan of Good values, given as bytes; refused like those of `scan`."""
        count = len(value) // _FLOAT64_BYTES
        slot = self._taking(time, first, count > 0 and len(value) % _FLOAT64_BYTES == 0)
        if slot is None:
            return
        slot.heads += _pack_head(device, time, received, first, count, how, False)
        slot.values += value
        self.scans += 1
        self.readings += count

    def rows(
        self,
        devices: Sequence[int],
        time: int,
        received: int,
        first: int,
        value: NDArray[np.float64],
        how: How,
    ) -> None:
        """Put one scan of Good values of each of `devices`; refused like those of `scan`."""
        slot = self._taking(time, first, value.size > 0 and len(value) == len(devices), len(devices))
        if slot is None:
            return
        slot.heads += heads_of(devices, time, received, first, value.shape[1], how)
        slot.values += value.tobytes()
        self.scans += len(devices)
        self.readings += value.size

    def _taking(self, time: int, first: int, is_whole: bool, count: int = 1) -> Slot | None:
        """Return the slot that takes `count` things from these on; None, and they are counted, where none may."""
        slot = self._slot
        if slot is None or first < 1 or not (is_whole and EARLIEST_US <= time <= LATEST_US) or self.fence():
            self.refused += count
            return None
        if self._untouched:
            self._stir()
        return slot

    def _stir(self) -> None:
        if self._untouched:
            self._untouched = False
            self.on_first()

    def text(self, reading: TextReading) -> None:
        """Put one text reading."""
        slot = self._taking(reading.time, reading.position, True)
        if slot is not None:
            slot.texts.append(reading)
            self.readings += 1

    def lull(self) -> None:
        """Take a room's word that it expects nothing more for the moment."""
        self.on_lull()

    def event(self, event: Event) -> None:
        """Put one event."""
        self.events[event.kind] = self.events.get(event.kind, 0) + 1
        if self._slot is not None:
            self._stir()
            self._slot.events.append(event)
        else:
            self._miss(event)

    def notice(self, notice: Notice) -> None:
        """Put what the gateway says of itself; there must be a watch."""
        assert self._slot is not None
        self._stir()
        self._slot.notices.append(notice)

    def begin(self, now_us: int) -> None:
        """Begin a watch, and say what happened to sessions since the last one."""
        self._slot = self._next(now_us)
        self._slot.events = [msgspec.structs.replace(event, at=now_us) for event in self._missed.values()]
        self._missed.clear()
        self.on_first()

    def cut(self, now_us: int) -> Slot:
        """Return what was collected up to now; the watch goes on."""
        slot = self.end(now_us)
        self._slot = self._next(slot.watermark)
        return slot

    def end(self, now_us: int) -> Slot:
        """Return what was collected up to now and end the watch."""
        assert self._slot is not None
        slot = self._slot
        slot.watermark = max(slot.since, now_us)
        self._slot = None
        return slot

    def part(self, broken: Break) -> Slot:
        """Return what was collected before a break of the watch, and go on with a new watch behind it."""
        assert self._slot is not None
        slot = self._slot
        scans = scans_of([slot])
        before = np.fromiter((broken.before(at) for at in scans.received.tolist()), np.bool_, len(scans))
        self._parted.add(slot.number)
        earlier = Slot(slot.number, slot.since, max(slot.since, broken.ended))
        put_scans(earlier, scans.take(np.flatnonzero(before)))
        later = scans.take(np.flatnonzero(~before))
        earlier.events = [event for event in slot.events if broken.before(event.at)]
        earlier.texts = [text for text in slot.texts if broken.before(text.received)]
        earlier.notices = slot.notices
        late_events = [event for event in slot.events if not broken.before(event.at)]
        late_texts = [text for text in slot.texts if not broken.before(text.received)]
        begins = min([broken.begins, *later.received.tolist(), *(event.at for event in late_events)])
        if len(scans):
            newest = int(scans.received[before].max(initial=earlier.watermark))
            earlier.watermark = max(earlier.watermark, newest)
        self.begin(max(begins, earlier.watermark + 1) if broken.begins >= broken.ended else begins)
        assert self._slot is not None
        put_scans(self._slot, later)
        self._slot.events += late_events
        self._slot.texts += late_texts
        detail = {"moved_s": round(broken.moved_us / 1e6, 3)} if broken.moved_us else {}
        span = sorted((earlier.watermark, self._slot.since))
        self.notice(Notice(None, Event("gap", 0, span[0], span[1], broken.reason, detail)))
        return earlier

    def _next(self, since: int) -> Slot:
        number = self._number
        self._number += 1
        self._untouched = True
        return Slot(number, since)

    def _miss(self, event: Event) -> None:
        if event.kind in ("gap", "answer"):  # the gateway's own gap covers them
            return
        if event.kind == "removed":
            for key in [key for key in self._missed if key[0] == event.device]:
                del self._missed[key]
        about = "session" if event.kind in ("session_up", "session_down") else event.kind
        self._missed.pop((event.device, about), None)
        self._missed[event.device, about] = event
