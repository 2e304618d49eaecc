"""The supervisor: one room per protocol, told of its devices, watched over, and made anew when it fails."""

import asyncio
import random
from collections.abc import Callable, Mapping

import structlog

from gateway import documents
from gateway.adapter import Description, Room, Sink, Workplace
from gateway.documents import BadDocument
from muster.clock import Clock
from muster.device import Device
from muster.errors import RequestError, Unavailable
from muster.events import Event

_log = structlog.get_logger()

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_START_S = 4.0


class Supervisor:
    """The rooms of one gateway and the devices that each watches."""

    def __init__(
        self, sink: Sink, clock: Clock, protocols: Mapping[str, Description], workplace: Workplace
    ) -> None:
        """workplace: the gateway's; each room gets a folder of its own name below."""
        self.restarts = 0
        self.fence: Callable[[], bool] | None = None
        """Whether equipment may not be asked anything now; None: it always may."""
        self._sink = sink
        self._clock = clock
        self._protocols = protocols
        self._workplace = workplace
        self._documents: dict[int, bytes] = {}
        self._devices: dict[int, Device] = {}
        self._posts: dict[str, _Post] = {}
        self._group: asyncio.TaskGroup | None = None
        self._ready = asyncio.Event()

    @property
    def devices(self) -> Mapping[int, Device]:
        """The devices whose documents can be used, by number."""
        return self._devices

    async def run(self) -> None:
        """Keep rooms at work until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._ready.set()
            await asyncio.get_running_loop().create_future()

    async def apply(self, wanted: Mapping[int, bytes]) -> None:
        """Watch exactly the devices of these documents, by number; rooms without a change are left alone.

        A document that cannot be used gives its device an `error` event that names the field.
        """
        await self._ready.wait()
        changed = {number for number, text in wanted.items() if self._documents.get(number) != text}
        gone = self._documents.keys() - wanted.keys()
        if not changed and not gone:
            return
        devices = {number: device for number, device in self._devices.items() if number not in gone | changed}
        for number in sorted(changed):
            device = self._read(number, wanted[number])
            if device is not None:
                devices[number] = device
        touched = {
            device.protocol
            for number in changed | gone
            for device in (self._devices.get(number), devices.get(number))
            if device is not None
        }
        self._documents, self._devices = dict(wanted), devices
        for protocol in sorted(touched):
            await self._configure(protocol)
        now_us = self._clock.now_us()
        for number in sorted(gone):
            self._sink.event(Event("removed", number, now_us))
        _log.info("devices", watched=len(devices), changed=len(changed), removed=len(gone))

    def room(self, number: int) -> tuple[Room, Device]:
        """Return the room that watches a device.

        Raises RequestError when none does, Unavailable while it starts again or this process's lease does not hold.
        """
        if self.fence is not None and self.fence():
            raise Unavailable("this process's lease ran out")
        device = self._devices.get(number)
        if device is None:
            raise RequestError(f"device {number} is not watched here", status=404, code="unknown-device")
        room = self._posts[device.protocol].room
        if room is None:
            raise Unavailable(f"the room for {device.protocol} is starting again")
        return room, device

    async def room_of(self, protocol: str) -> Room:
        """Return a protocol's room, made when it has no devices yet.

        Raises RequestError for an unknown protocol, Unavailable while the room starts.
        """
        if protocol not in self._protocols:
            raise RequestError(f"no protocol {protocol}", status=404, code="unknown-protocol")
        if protocol not in self._posts:
            await self._ready.wait()
            await self._configure(protocol)
        try:
            async with asyncio.timeout(_START_S):
                return await self._posts[protocol].standing()
        except TimeoutError as error:
            raise Unavailable(f"the room for {protocol} is starting") from error

    def _read(self, number: int, document: bytes) -> Device | None:
        try:
            device = documents.decode(number, document)
        except BadDocument as error:
            self._refuse(number, "document-invalid", {"field": error.field, "problem": error.problem})
            return None
        if device.protocol not in self._protocols:
            self._refuse(number, "unknown-protocol", {"field": "protocol", "protocol": device.protocol})
            return None
        return device

    def _refuse(self, number: int, reason: str, detail: dict[str, str]) -> None:
        _log.error("document-refused", device=number, reason=reason, **detail)
        self._sink.event(Event("error", number, self._clock.now_us(), reason=reason, detail=dict(detail)))

    async def _configure(self, protocol: str) -> None:
        post = self._posts.get(protocol)
        if post is None:
            assert self._group is not None
            post = self._posts[protocol] = _Post(self, self._protocols[protocol])
            self._group.create_task(post.run(), name=f"room {protocol}")
        await post.configure(
            {number: device for number, device in self._devices.items() if device.protocol == protocol}
        )

    def make(self, description: Description) -> Room:
        """Make a room that reports to this supervisor's sink."""
        whole = self._workplace
        own = Workplace(whole.gateway, whole.name, whole.folder / description.name)
        return description.create(self._sink, self._clock, own)

    def say_failed(self, devices: Mapping[int, Device], at_us: int) -> None:
        """Say that a room failed at `at_us` and that its devices are watched again from now on."""
        now_us = self._clock.now_us()
        for number in devices:
            self._sink.event(Event("gap", number, at_us, now_us, "room-failed"))

    def now_us(self) -> int:
        """Return the time that events bear."""
        return self._clock.now_us()


class _Post:
    """One protocol's room, and the devices it must watch even after it was made anew."""

    def __init__(self, supervisor: Supervisor, description: Description) -> None:
        self.room: Room | None = None
        self._supervisor = supervisor
        self._description = description
        self._devices: Mapping[int, Device] = {}
        self._stands = asyncio.Event()

    async def standing(self) -> Room:
        """Return the room once it stands."""
        while self.room is None:
            await self._stands.wait()
        return self.room

    async def configure(self, devices: Mapping[int, Device]) -> None:
        self._devices = devices
        if self.room is not None:
            try:
                await self.room.configure(devices)
            except Exception:  # noqa: BLE001 - supervisor: a room that fails does not take others with it
                _log.exception("room-refused-devices", room=self._description.name)

    async def run(self) -> None:
        """Keep the room at work; a failure is a defect of the room, said and survived."""
        pause_s = _FIRST_PAUSE_S
        failed_at: int | None = None
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._work(failed_at)
            except Exception:  # noqa: BLE001 - supervisor
                _log.exception("room-failed", room=self._description.name)
            failed_at = self._supervisor.now_us()
            self._supervisor.restarts += 1
            if asyncio.get_running_loop().time() - began > _LONGEST_PAUSE_S:
                pause_s = _FIRST_PAUSE_S
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _work(self, failed_at: int | None) -> None:
        room = self._supervisor.make(self._description)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_room(room), name=f"run {self._description.name}")
            await asyncio.sleep(0)  # the room stands before it is told of devices
            if failed_at is not None:
                self._supervisor.say_failed(self._devices, failed_at)
            try:
                self.room = room
                self._stands.set()
                await room.configure(self._devices)
                await asyncio.get_running_loop().create_future()
            finally:
                self.room = None
                self._stands.clear()

    async def _run_room(self, room: Room) -> None:
        await room.run()
        raise RuntimeError(f"the room for {self._description.name} ended by itself")
