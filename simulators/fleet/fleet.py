"""A fleet at work: its endpoints answer, its machines move on, its faults come and go."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muster.clock import SECOND_US, Clock
from simulators.equipment import Equipment, Place
from simulators.fleet.enterprises import Protocol, spoken
from simulators.fleet.faultboard import FaultBoard, Seat
from simulators.fleet.group import Group
from simulators.fleet.plan import WINDOW_LENGTH, Station
from simulators.machines.machine import Machine
from simulators.machines.meters import METER
from simulators.machines.physics import Moment, Values
from simulators.modbus.identity import BLOCK_LENGTH, BLOCK_REGISTER, Identity
from simulators.modbus.server import Endpoint
from simulators.modbus.units import Image, ImageUnit, Unit
from simulators.mqtt.link import Broker
from simulators.mqtt.publisher import Publisher
from simulators.opcua.server import OpcuaServer
from simulators.sparkplug.edge_node import EdgeNode, node_name

_WARM_UP_STEP_S = 60.0
_LOCAL_OFFSET_H = 8.0  # the machines' local time is UTC+8


class Fleet:
    """Stations behind endpoints. ports: one for each endpoint, in order."""

    def __init__(
        self,
        stations: Sequence[Station],
        host: str,
        ports: Sequence[int],
        seed: int,
        clock: Clock,
        protocols: Collection[str] = ("modbus",),
        broker: Broker | None = None,
        certificates: Path | None = None,
    ) -> None:
        """protocols: what areas may speak; broker: where those publish that speak MQTT or Sparkplug B.

        certificates: where OPC UA servers keep theirs that accept encrypted sessions only; without it, none does.
        """
        self.stations = {station.code: station for station in stations}
        self._clock = clock
        self._image = Image(WINDOW_LENGTH * max(1, len(stations)))
        self._base: dict[str, int] = {}
        self._seats: dict[str, Seat] = {}
        self.publishers: list[Publisher | EdgeNode] = []
        self.servers: list[OpcuaServer] = []
        self._host, self._broker, self._seed, self._certificates = host, broker, seed, certificates
        self.endpoints = self._build_endpoints(ports, protocols)
        self._row: dict[str, int] = {}
        self._tenant: dict[str, NDArray[np.int64]] = {}
        self._groups = self._build_groups(seed)
        self._meters = self._groups.pop(METER.code, None)
        self.faults = FaultBoard(self.endpoints, self._seats, self._freeze)
        self._stepped_at = clock.monotonic()
        hour = self._hour()
        for group in self._groups.values():
            group.warm_up(Moment(_WARM_UP_STEP_S, hour))
        if self._meters is not None:
            self._meters.warm_up(Moment(_WARM_UP_STEP_S, hour, self._feeder_kw()))
        self.step(1.0)

    async def open(self) -> None:
        """Listen on every port. Raises Unavailable, naming the first that is taken."""
        for endpoint in self.endpoints:
            await endpoint.open()

    async def close(self) -> None:
        """Close every port and connection, and forget what was to be lifted."""
        self.faults.close()
        for endpoint in self.endpoints:
            await endpoint.close()

    async def run(self, step_s: float) -> None:
        """Let time pass for the machines, in steps of `step_s` seconds, until cancelled."""
        due = self._clock.monotonic()
        while True:
            due = max(due + step_s, self._clock.monotonic())
            await asyncio.sleep(due - self._clock.monotonic())
            for _ in self._move(step_s):
                await asyncio.sleep(0)  # requests are answered between two kinds, none waits for a whole step
            for server in self.servers:
                await server.publish()

    def step(self, dt_s: float) -> None:
        """Move every machine on by `dt_s` seconds."""
        for _ in self._move(dt_s):
            pass

    def _move(self, dt_s: float) -> Iterator[None]:
        """Move kind after kind; the meters come last and see what the others draw."""
        hour = self._hour()
        for group in self._groups.values():
            group.step(Moment(dt_s, hour))
            yield
        if self._meters is not None:
            self._meters.step(Moment(dt_s, hour, self._feeder_kw()))
        for publisher in self.publishers:
            yield
            publisher.publish()
        self._stepped_at = self._clock.monotonic()

    def shown(self) -> Iterator[tuple[NDArray[np.int64], Values]]:
        """Give, kind after kind, the (n,) indexes of its stations and the (n, points) values they show now."""
        for kind, group in {**self._groups, METER.code: self._meters}.items():
            if group is not None:
                index = [one.index for one in self.stations.values() if one.kind.code == kind]
                yield np.array(index, np.int64), group.shown()

    def standing_s(self) -> float:
        """Return for how many seconds the machines have not moved on."""
        return self._clock.monotonic() - self._stepped_at

    def _freeze(self, code: str, frozen: bool) -> None:
        kind = self.stations[code].kind.code
        group = self._meters if kind == METER.code else self._groups[kind]
        assert group is not None
        group.frozen[self._row[code]] = frozen

    def _hour(self) -> float:
        return (self._clock.now_us() / SECOND_US / 3600.0 + _LOCAL_OFFSET_H) % 24.0

    def _feeder_kw(self) -> Values:
        """Return what each meter's feeder carries: a share of its enterprise's low-voltage machines."""
        meters = self._tenant[METER.code]
        tenants = 1 + max(int(rows.max()) for rows in self._tenant.values())
        drawn = np.zeros(tenants)
        for code, group in self._groups.items():
            if not group.kind.high_voltage:
                drawn += np.bincount(self._tenant[code], group.power_kw, tenants)
        share: Values = drawn / np.maximum(np.bincount(meters, minlength=tenants), 1)
        carried: Values = share[meters]
        return carried

    def _build_endpoints(self, ports: Sequence[int], protocols: Collection[str]) -> list[Equipment]:
        behind: list[list[Station]] = [[] for _ in ports]
        for station in self.stations.values():
            behind[station.endpoint].append(station)
        units = self._lay_units(behind)
        endpoints: list[Equipment] = []
        for number, (port, here) in enumerate(zip(ports, behind, strict=True)):
            protocol = spoken(here[0].area, protocols) if here else "modbus"
            if protocol == "modbus":
                endpoints.append(Endpoint(number, self._host, port, units[number], self._seed + number))
            else:
                endpoints.append(self._build_speaking(number, port, here, protocol))
        return endpoints

    def _lay_units(self, behind: Sequence[Sequence[Station]]) -> list[dict[int, Unit]]:
        """Give every station its span of the image and its place; return each endpoint's units by number."""
        units: list[dict[int, Unit]] = [{} for _ in behind]
        base = 0
        for endpoint, stations in enumerate(behind):
            members: dict[int, list[Station]] = {}
            for station in stations:
                members.setdefault(station.unit, []).append(station)
            for unit, here in members.items():
                span = WINDOW_LENGTH * len(here)
                alone = here[0].window is None
                for station in here:
                    start = station.window or 0
                    self._base[station.code] = base + start
                    self._seats[station.code] = Seat(endpoint, Place(unit, start, WINDOW_LENGTH, alone))
                    first = base + start + BLOCK_REGISTER
                    self._image.words[0, first : first + BLOCK_LENGTH] = _identity_of(station).block()
                identity = _identity_of(here[0]) if alone else _identity_of_plc(endpoint, self._seed)
                units[endpoint][unit] = ImageUnit(self._image, base, span, identity.objects())
                base += span
        return units

    def _build_speaking(
        self, number: int, port: int, here: Sequence[Station], protocol: Protocol
    ) -> Equipment:
        """Return equipment that speaks of its machines' values, and not of registers."""
        machines = {
            self._seats[station.code].place: Machine(
                station.code, station.kind, _identity_of(station), self._image, self._base[station.code]
            )
            for station in here
        }
        if protocol == "opcua":
            kept = self._certificates if here[0].area.encrypted else None
            self.servers.append(OpcuaServer(number, self._host, port, machines, self._clock, kept))
            return self.servers[-1]
        assert self._broker is not None
        enterprise, site, seed = here[0].enterprise.code, here[0].site, self._seed + number
        if protocol == "mqtt":
            publisher = Publisher(number, f"{enterprise}/{site}", self._broker, machines, self._clock, seed)
            self.publishers.append(publisher)
            return publisher
        name, itself = node_name(enterprise, site), _identity_of_node(number, self._seed)
        node = EdgeNode(number, name, itself, self._broker, machines, self._clock, seed)
        self.publishers.append(node)
        return node

    def _build_groups(self, seed: int) -> dict[str, Group]:
        tenants: dict[str, int] = {}
        members: dict[str, list[Station]] = {}
        for station in self.stations.values():
            here = members.setdefault(station.kind.code, [])
            self._row[station.code] = len(here)
            here.append(station)
            tenants.setdefault(station.enterprise.code, len(tenants))
        groups = {}
        for code, here in members.items():
            self._tenant[code] = np.array([tenants[s.enterprise.code] for s in here], np.int64)
            base = np.array([self._base[s.code] for s in here], np.int64)
            idle = np.array([s.idle for s in here])
            groups[code] = Group(here[0].kind, self._image, base, idle, seed)
        return groups


def _identity_of(station: Station) -> Identity:
    kind = station.kind
    return Identity("simulated", kind.code, kind.english, f"{kind.prefix}-SIM", station.serial_number)


def _identity_of_plc(endpoint: int, seed: int) -> Identity:
    return Identity(
        "simulated", "sim-plc", "PLC with register windows", "PLC-SIM", f"SIM{seed}-PLC-{endpoint:03d}"
    )


def _identity_of_node(endpoint: int, seed: int) -> Identity:
    return Identity("simulated", "sim-node", "Edge node", "NODE-SIM", f"SIM{seed}-NODE-{endpoint:03d}")
