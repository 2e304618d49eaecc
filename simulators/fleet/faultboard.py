"""Which faults are in force, whose they are, and when they are lifted."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from muster.errors import RequestError, Unavailable
from simulators.equipment import Equipment, Place
from simulators.faults import Fault, FaultKind

_OF_ALL = (
    FaultKind.REFUSE,
    FaultKind.DUPLICATE_CLIENT,
    FaultKind.SUBSCRIPTION_LOST,
    FaultKind.RESTART,
    FaultKind.BIRTH_STORM,
    FaultKind.SILENT,
    FaultKind.KEEPALIVE_SILENT,
    FaultKind.CERTIFICATE_EXPIRED,
)
"""These always concern everything behind an endpoint."""
_REOPEN_AFTER_S = 1.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a device is: its endpoint's number and its place there."""

    endpoint: int
    place: Place


@dataclass(frozen=True, slots=True)
class _Mark:
    """One fault of an endpoint (no device) or of one device there; asked_for: what the caller named."""

    endpoint: int
    device: str | None
    fault: Fault
    asked_for: str


class FaultBoard:
    """The faults of some endpoints and of the devices behind them. freeze: stops or frees a device's values."""

    def __init__(
        self,
        endpoints: Sequence[Equipment],
        seats: Mapping[str, Seat],
        freeze: Callable[[str, bool], None],
    ) -> None:
        self._endpoints = endpoints
        self._seats = seats
        self._freeze = freeze
        self._marks: dict[tuple[int, str | None], _Mark] = {}
        self._timers: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()

    async def put(
        self,
        fault: Fault,
        *,
        device: str | None = None,
        endpoint: int | None = None,
        for_s: float | None = None,
    ) -> list[str]:
        """Put a fault on a device, on an endpoint (its number or port) or on all; for `for_s` seconds if given.

        Returns the codes of the devices it touches: a closed port or connection touches all behind it. Raises
        RequestError for an unknown device or endpoint.
        """
        marks = self._marks_for(fault, device, endpoint)
        async with self._one_at_a_time:
            for mark in marks:
                self._marks[mark.endpoint, mark.device] = mark
                await self._apply(mark)
        if for_s is not None:
            timer = asyncio.create_task(self._lift_after(for_s, marks), name=f"lift {fault.kind}")
            self._timers.add(timer)
            timer.add_done_callback(self._timers.discard)
        return self._touched(marks)

    async def lift(self, *, device: str | None = None, endpoint: int | None = None) -> list[str]:
        """Lift the faults of a device, of an endpoint with its devices, or all; returns whom that touches.

        Raises RequestError for an unknown device or endpoint, Unavailable when a port that was closed cannot be
        opened again.
        """
        if device is not None:
            self._seat(device)
            chosen = [m for m in self._marks.values() if device in (m.device, m.asked_for)]
        else:
            number = None if endpoint is None else self._endpoint(endpoint).number
            chosen = [m for m in self._marks.values() if number is None or m.endpoint == number]
        await self._lift(chosen)
        return self._touched(chosen)

    def in_force(self) -> list[dict[str, object]]:
        """Return the faults in force, each with what it is of."""
        return [
            {
                "device": mark.device,
                "endpoint": mark.endpoint,
                "port": self._endpoints[mark.endpoint].port,
                "kind": mark.fault.kind.value,
            }
            for mark in self._marks.values()
        ]

    def close(self) -> None:
        """Forget what was to be lifted."""
        for timer in self._timers:
            timer.cancel()

    async def _lift_after(self, for_s: float, marks: list[_Mark]) -> None:
        await asyncio.sleep(for_s)
        while marks:
            try:
                await self._lift(marks)
                return
            except Unavailable as error:
                _log.warning("simulator-port-taken", error=str(error))
                await asyncio.sleep(_REOPEN_AFTER_S)

    async def _lift(self, marks: Sequence[_Mark]) -> None:
        async with self._one_at_a_time:
            for mark in marks:
                if self._marks.get((mark.endpoint, mark.device)) is not mark:
                    continue  # lifted by hand, or another fault was put in its place
                place = None if mark.device is None else self._seats[mark.device].place
                await self._endpoints[mark.endpoint].put_fault(None, place)
                del self._marks[mark.endpoint, mark.device]
                self._refreeze(mark.endpoint)

    async def _apply(self, mark: _Mark) -> None:
        place = None if mark.device is None else self._seats[mark.device].place
        await self._endpoints[mark.endpoint].put_fault(mark.fault, place)
        self._refreeze(mark.endpoint)

    def _refreeze(self, endpoint: int) -> None:
        whole = self._frozen(endpoint, None)
        for code in self._behind(endpoint):
            self._freeze(code, whole or self._frozen(endpoint, code))

    def _frozen(self, endpoint: int, device: str | None) -> bool:
        mark = self._marks.get((endpoint, device))
        return mark is not None and mark.fault.kind is FaultKind.FREEZE

    def _marks_for(self, fault: Fault, device: str | None, endpoint: int | None) -> list[_Mark]:
        named = endpoint if device is None else self._seat(device).endpoint
        if named is not None and fault.kind not in self._endpoint(named).kinds:
            raise RequestError(f"{fault.kind} is no fault of such equipment", code="simulator-bad-order")
        if device is not None:
            number = self._seat(device).endpoint
            of = None if fault.kind in _OF_ALL else device
            return [_Mark(number, of, fault, device)]
        chosen = self._endpoints if endpoint is None else [self._endpoint(endpoint)]
        if endpoint is None:
            chosen = [one for one in chosen if fault.kind in one.kinds]
        return [_Mark(one.number, None, fault, "") for one in chosen]

    def _touched(self, marks: Sequence[_Mark]) -> list[str]:
        touched: dict[str, None] = {}
        for mark in marks:
            wide = mark.device is None or mark.fault.kind is FaultKind.DROP
            touched.update(dict.fromkeys(self._behind(mark.endpoint) if wide else [str(mark.device)]))
        return list(touched)

    def _behind(self, endpoint: int) -> list[str]:
        return [code for code, seat in self._seats.items() if seat.endpoint == endpoint]

    def _seat(self, code: str) -> Seat:
        if code not in self._seats:
            raise RequestError(f"no simulated device {code}", status=404, code="simulator-unknown-device")
        return self._seats[code]

    def _endpoint(self, number_or_port: int) -> Equipment:
        for endpoint in self._endpoints:
            if number_or_port in (endpoint.number, endpoint.port):
                return endpoint
        raise RequestError(
            f"no simulated endpoint {number_or_port}", status=404, code="simulator-unknown-endpoint"
        )
