"""The minute that is being recorded in one partition: of every device how much came, and the digest of it.

A minute is one of the database's clock, so it is final when it ends, and late data fall into the minute in which they
were recorded. What is digested are the batches as they were checked, never what the database says it holds.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.writes import MINUTE_US, DeviceMinutes, Stored
from muster import canonical, minutes
from muster.events import TextReading
from muster.scans import Scans

FEWEST, MOST = 4_096, 131_072
"""Scans that wait to be digested together; few for each device would cost a call for each scan."""
EACH = 16


@dataclass(frozen=True, slots=True)
class _Text:
    place: int
    sequence: int
    text: TextReading


class Roll:
    """Batches of one minute and partition, digested as they are recorded.

    first_sequence: the stream's sequence of the first of them, which the stream must still hold for a worker that
    takes over; 0: none is open, or it lies in a stream that is gone.
    """

    def __init__(self) -> None:
        self._begin(-1)

    def _begin(self, minute: int) -> None:
        self.first_sequence = 0
        self._minute = minute
        self._batches: list[int] = []
        self._sequences: list[int] = []
        self._pending: list[tuple[NDArray[np.int64], Scans]] = []
        self._scans = 0
        self._digests: dict[int, hashlib._Hash] = {}
        self._facts = minutes.merged([])
        self._texts: dict[int, list[_Text]] = {}

    @property
    def ends_us(self) -> int | None:
        """When the open minute ends, in µs; None when none is open."""
        return (self._minute + 1) * MINUTE_US if self._batches else None

    def take(self, recorded_us: int, batches: Sequence[Stored], scans: Scans | None = None) -> None:
        """Take batches that were recorded at `recorded_us`; another minute than the open one begins anew.

        scans: those of all `batches` in their order, where they have been put together already.
        """
        if recorded_us // MINUTE_US != self._minute:
            self._begin(recorded_us // MINUTE_US)
        if batches and not self._batches:
            self.first_sequence = batches[0].accepted.message.stream_sequence
        first = len(self._batches)
        for place, stored in enumerate(batches, first):
            header = stored.accepted.batch.header
            self._batches.append(stored.id)
            self._sequences.append(header.sequence)
            for text in header.texts:
                self._texts.setdefault(text.device, []).append(_Text(place, header.sequence, text))
        parts = [stored.accepted.batch.scans for stored in batches]
        whole = Scans.concatenate(parts) if scans is None else scans
        if len(whole):
            places = np.arange(first, len(self._batches))
            self._pending.append((np.repeat(places, [len(part) for part in parts]), whole))
            self._scans += len(whole)
            if self._scans >= min(max(FEWEST, EACH * len(self._digests)), MOST):
                self._digest()

    def close(self, recorded_us: int | None = None) -> list[DeviceMinutes]:
        """Return what is to be stored of the open minute, if at `recorded_us` it has ended, or at once without it.

        The roll itself stays as it is until `take` begins another minute.
        """
        if not self._batches or (recorded_us is not None and recorded_us // MINUTE_US == self._minute):
            return []
        self._digest()
        return [DeviceMinutes(self._minute * MINUTE_US, list(self._batches), self._records())]

    def _digest(self) -> None:
        """Digest what waits."""
        if not self._pending:
            return
        place = np.concatenate([places for places, _ in self._pending])
        scans = Scans.concatenate([scans for _, scans in self._pending])
        low = np.array([sequence & 0xFFFFFFFF for sequence in self._sequences], np.uint32)
        found = canonical.arranged(scans, place, low[place])
        facts = minutes.of_scans(scans, found)
        bounds = found.offsets[np.append(found.starts, len(found.index))].tolist()
        body, digests = found.body.data, self._digests
        for device, begin, stop in zip(facts["device"].tolist(), bounds[:-1], bounds[1:], strict=True):
            digest = digests.get(device)
            if digest is None:
                digest = digests[device] = hashlib.sha256()
            digest.update(body[begin:stop])
        self._facts = minutes.added(self._facts, facts)
        self._pending, self._scans = [], 0

    def _records(self) -> NDArray[np.void]:
        """Return the records of all devices, by device."""
        texts = [item.text for kept in self._texts.values() for item in kept]
        records = minutes.merged([self._facts, minutes.of_texts(texts)])
        ends = canonical.ends(records["scans"], records["texts"])
        digests = b"".join(map(self._digest_of, records["device"].tolist(), ends))
        records["digest"] = np.frombuffer(digests, np.uint8).reshape(-1, 32)
        return records

    def _digest_of(self, device: int, end: bytes) -> bytes:
        so_far = self._digests.get(device)
        digest = hashlib.sha256() if so_far is None else so_far.copy()
        if device in self._texts:
            said = [(item.place, item.sequence, item.text) for item in self._texts[device]]
            for piece in canonical.in_order(said):
                digest.update(piece)
        digest.update(end)
        return digest.digest()
