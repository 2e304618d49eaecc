"""A fleet at work: its endpoints answer, its machines move on, its faults come and go."""

import asyncio
from collections.abc import Sequence

import numpy as np
import structlog

from muster.clock import SECOND_US, Clock
from muster.errors import RequestError, Unavailable
from simulators.faults import Fault, FaultKind
from simulators.fleet.group import Group
from simulators.fleet.plan import WINDOW_LENGTH, Station
from simulators.machines.physics import Moment, Values
from simulators.modbus.identity import BLOCK_LENGTH, BLOCK_REGISTER, Identity
from simulators.modbus.server import Endpoint, Place
from simulators.modbus.units import Image, ImageUnit, Unit

_LOCAL_OFFSET_H = 8.0  # the machines' local time is UTC+8
_REOPEN_AFTER_S = 1.0
_log = structlog.get_logger()


class Fleet:
    """Stations behind endpoints. ports: one for each endpoint, in order."""

    def __init__(
        self, stations: Sequence[Station], host: str, ports: Sequence[int], seed: int, clock: Clock
    ) -> None:
        self.stations = {station.code: station for station in stations}
        self._clock = clock
        self._image = Image(WINDOW_LENGTH * max(1, len(stations)))
        self._base: dict[str, int] = {}
        self._places: dict[str, Place] = {}
        self.endpoints = self._build_endpoints(stations, host, ports, seed)
        self._groups, self._row = self._build_groups(stations, seed)
        tenants = sorted({station.enterprise.code for station in stations})
        self._tenant = {
            code: np.array([tenants.index(s.enterprise.code) for s in stations if s.kind.code == code])
            for code in self._groups
        }
        self._frozen: dict[str, bool] = {}
        self._lifting: dict[object, asyncio.Task[None]] = {}
        for group in self._groups.values():
            group.warm_up(self._hour(), self._feeder_kw() if group.kind.code == "sim-meter" else None)
        self.step(1.0)

    async def open(self) -> None:
        """Listen on every port. Raises Unavailable, naming the first that is taken."""
        for endpoint in self.endpoints:
            await endpoint.open()

    async def close(self) -> None:
        """Close every port and connection, and forget what was to be lifted."""
        for task in self._lifting.values():
            task.cancel()
        self._lifting.clear()
        for endpoint in self.endpoints:
            await endpoint.close()

    async def run(self, step_s: float) -> None:
        """Let time pass for the machines, in steps of `step_s` seconds, until cancelled."""
        due = self._clock.monotonic()
        while True:
            due = max(due + step_s, self._clock.monotonic())
            await asyncio.sleep(due - self._clock.monotonic())
            self.step(step_s)

    def step(self, dt_s: float) -> None:
        """Move every machine on by `dt_s` seconds; the meters come last and see what the others draw."""
        hour = self._hour()
        for group in self._groups.values():
            if group.kind.code != "sim-meter":
                group.step(Moment(dt_s, hour))
        meters = self._groups.get("sim-meter")
        if meters is not None:
            meters.step(Moment(dt_s, hour, self._feeder_kw()))

    async def put_fault(
        self,
        fault: Fault | None,
        *,
        device: str | None = None,
        endpoint: int | None = None,
        for_s: float | None = None,
    ) -> list[str]:
        """Set or lift (None) a fault of a device, of an endpoint (its number or its port) or of everything.

        Returns the codes of the devices it touches: closing a port, or a connection, touches all behind it.
        After `for_s` seconds the fault is lifted. Raises RequestError for an unknown device or endpoint,
        Unavailable when a port that was closed cannot be opened again.
        """
        if device is not None:
            touched = await self._fault_device(self._station(device), fault)
        else:
            chosen = self.endpoints if endpoint is None else [self._endpoint(endpoint)]
            touched = []
            for one in chosen:
                touched += await self._fault_endpoint(one, fault)
        if for_s is not None and fault is not None:
            self._lift_later((device, endpoint), for_s, fault, device, endpoint)
        return touched

    def faults(self) -> list[dict[str, object]]:
        """Return the faults in force, with what they are of."""
        found: list[dict[str, object]] = []
        for endpoint in self.endpoints:
            if endpoint.fault is not None:
                found.append(
                    {"endpoint": endpoint.number, "port": endpoint.port, "kind": endpoint.fault.kind}
                )
            for code, place in self._places.items():
                fault = endpoint.fault_of(place) if self.stations[code].endpoint == endpoint.number else None
                if fault is not None:
                    found.append({"device": code, "kind": fault.kind})
        return found

    async def _fault_device(self, station: Station, fault: Fault | None) -> list[str]:
        endpoint = self.endpoints[station.endpoint]
        if fault is not None and fault.kind is FaultKind.REFUSE:
            return await self._fault_endpoint(endpoint, fault)
        await endpoint.put_fault(fault, self._places[station.code])
        self._freeze(station, fault)
        if fault is not None and fault.kind is FaultKind.DROP:
            return self._behind(endpoint)
        return [station.code]

    async def _fault_endpoint(self, endpoint: Endpoint, fault: Fault | None) -> list[str]:
        await endpoint.put_fault(fault)
        touched = self._behind(endpoint)
        for code in touched:
            if fault is None:
                await endpoint.put_fault(None, self._places[code])
            self._freeze(self.stations[code], fault)
        return touched

    def _freeze(self, station: Station, fault: Fault | None) -> None:
        self._groups[station.kind.code].frozen[self._row[station.code]] = (
            fault is not None and fault.kind is FaultKind.FREEZE
        )

    def _lift_later(
        self, key: object, for_s: float, fault: Fault, device: str | None, endpoint: int | None
    ) -> None:
        earlier = self._lifting.pop(key, None)
        if earlier is not None:
            earlier.cancel()

        async def lift() -> None:
            await asyncio.sleep(for_s)
            while True:
                try:
                    await self.put_fault(None, device=device, endpoint=endpoint)
                except Unavailable as error:
                    _log.warning("simulator-port-taken", error=str(error))
                    await asyncio.sleep(_REOPEN_AFTER_S)
                else:
                    return

        task = asyncio.create_task(lift(), name=f"lift {fault.kind}")
        self._lifting[key] = task
        task.add_done_callback(
            lambda _: self._lifting.pop(key, None) if self._lifting.get(key) is task else None
        )

    def _station(self, code: str) -> Station:
        if code not in self.stations:
            raise RequestError(f"no simulated device {code}", status=404, code="simulator-unknown-device")
        return self.stations[code]

    def _endpoint(self, number_or_port: int) -> Endpoint:
        for endpoint in self.endpoints:
            if number_or_port in (endpoint.number, endpoint.port):
                return endpoint
        raise RequestError(
            f"no simulated endpoint {number_or_port}", status=404, code="simulator-unknown-endpoint"
        )

    def _behind(self, endpoint: Endpoint) -> list[str]:
        return [code for code, station in self.stations.items() if station.endpoint == endpoint.number]

    def _hour(self) -> float:
        return (self._clock.now_us() / SECOND_US / 3600.0 + _LOCAL_OFFSET_H) % 24.0

    def _feeder_kw(self) -> Values:
        """Return what each meter's feeder carries: a share of its enterprise's low-voltage machines."""
        meters = self._tenant["sim-meter"]
        tenants = 1 + max(int(rows.max()) for rows in self._tenant.values())
        drawn = np.zeros(tenants)
        for code, group in self._groups.items():
            if code != "sim-meter" and not group.kind.high_voltage:
                drawn += np.bincount(self._tenant[code], group.power_kw, tenants)
        share: Values = drawn / np.maximum(np.bincount(meters, minlength=tenants), 1)
        of_each: Values = share[meters]
        return of_each

    def _build_endpoints(
        self, stations: Sequence[Station], host: str, ports: Sequence[int], seed: int
    ) -> list[Endpoint]:
        members: dict[tuple[int, int], list[Station]] = {}
        for station in stations:
            members.setdefault((station.endpoint, station.unit), []).append(station)
        units: dict[int, dict[int, Unit]] = {number: {} for number in range(len(ports))}
        base = 0
        for (number, unit), here in members.items():
            span = WINDOW_LENGTH * len(here)
            alone = here[0].window is None
            for station in here:
                self._base[station.code] = base + (station.window or 0)
                self._places[station.code] = Place(unit, station.window or 0, WINDOW_LENGTH, alone)
                words = _identity_of(station).block()
                first = self._base[station.code] + BLOCK_REGISTER
                self._image.words[0, first : first + BLOCK_LENGTH] = words
            identity = _identity_of(here[0]) if alone else _identity_of_plc(number, seed)
            units[number][unit] = ImageUnit(self._image, base, span, identity.objects())
            base += span
        return [
            Endpoint(number, host, port, units[number], seed + number) for number, port in enumerate(ports)
        ]

    def _build_groups(
        self, stations: Sequence[Station], seed: int
    ) -> tuple[dict[str, Group], dict[str, int]]:
        members: dict[str, list[Station]] = {}
        rows: dict[str, int] = {}
        for station in sorted(stations, key=lambda s: s.kind.code == "sim-meter"):
            here = members.setdefault(station.kind.code, [])
            rows[station.code] = len(here)
            here.append(station)
        groups = {
            code: Group(
                here[0].kind,
                self._image,
                np.array([self._base[s.code] for s in here], np.int64),
                np.array([s.idle for s in here]),
                seed,
            )
            for code, here in members.items()
        }
        return groups, rows


def _identity_of(station: Station) -> Identity:
    kind = station.kind
    return Identity("simulated", kind.code, kind.english, f"{kind.prefix}-SIM", station.serial_number)


def _identity_of_plc(endpoint: int, seed: int) -> Identity:
    return Identity(
        "simulated", "sim-plc", "PLC with register windows", "PLC-SIM", f"SIM{seed}-PLC-{endpoint:03d}"
    )
