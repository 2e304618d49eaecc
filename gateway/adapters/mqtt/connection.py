"""One connection in the event loop: reading, holding, writing, keeping alive, and how it ended.

Everything that came with one read is handed on together, and everything that is to be sent goes at the end of a turn.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any, cast

from gateway.adapters.mqtt.buffered import CHUNK_BYTES
from gateway.adapters.mqtt.packets import Message, Packets
from gateway.adapters.mqtt.settings import BrokerSettings
from gateway.adapters.mqtt.wire import CONNACK_REASONS, DISCONNECT_REASONS, Refused, Wire
from muster.errors import Rejected, Unavailable

_MISC_S = 1.0
_HOLD_S = 0.1
_LOST = "mqtt.connection-lost"
_ONLY_MESSAGES = frozenset({Message})


class Connection:
    """A wire at work, from its opening until `stop`."""

    def __init__(
        self,
        wire: Wire,
        five: bool,
        now_us: Callable[[], int],
        kept: Callable[[], bool],
        heard: Callable[[list[Message]], None],
    ) -> None:
        """kept: whether what comes now is kept, else nothing is read.

        heard: takes what came with one read; raises Unavailable when the disk does not take the receipts.
        """
        loop = asyncio.get_running_loop()
        self.wire = wire
        self.granted = False
        """Whether the broker has granted a session: before that it may send no message."""
        self.ended: asyncio.Future[Refused] = loop.create_future()
        self.failure: BaseException | None = None
        """What went wrong in what was told of a message, if anything did."""
        self._loop = loop
        self._packets = Packets(five=five)
        self._now_us, self._kept, self._heard = now_us, kept, heard
        self._held = self._writing = self._watching = False
        wire.on_disconnect = self._disconnected
        wire.on_socket_register_write = self.want_write
        assert wire.buffered is not None
        self._descriptor = wire.buffered.fileno()
        loop.add_reader(self._descriptor, self._readable)
        self._timer = loop.call_later(_MISC_S, self._beat)
        self.send()

    async def granted_by(self, answered: "asyncio.Future[int]", within_s: float) -> None:
        """Wait for the broker's CONNACK code. Raises Refused when it is not 0, or does not come."""
        either: list[asyncio.Future[Any]] = [answered, self.ended]
        await asyncio.wait(either, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if answered.done():
            code = answered.result()
            if code != 0:
                raise Refused(CONNACK_REASONS.get(code, "mqtt.refused"), code=code)
        elif self.ended.done():
            raise self.ended.result()
        else:
            raise Refused("mqtt.broker-away", cause="mqtt.connect-timeout")

    def stop(self) -> None:
        """Close it without a word to the broker, which keeps the session."""
        self._timer.cancel()
        self._unwatch()
        self.wire.on_disconnect = None
        self.wire.close()

    def end(self, why: Refused) -> None:
        """Come to an end, for the first reason that is given."""
        if not self.ended.done():
            self.ended.set_result(why)
        self._unwatch()

    # Reading.

    def _readable(self) -> None:
        """Take what came, up to a limit, so that a flood leaves the loop to others."""
        if self._held or self._descriptor < 0:
            return
        taken = 0
        try:
            while self._descriptor >= 0:
                if not self._kept():
                    self._hold()
                    break
                data = self.wire.take()
                if data is None:
                    break
                if not data:
                    self.end(Refused("mqtt.broker-away", cause=_LOST))
                    break
                self._take(data)
                taken += len(data)
                if taken >= CHUNK_BYTES:
                    self._loop.call_soon(self._readable)
                    break
                if self.wire.bare:
                    break
        except Rejected as error:
            self.end(Refused("mqtt.malformed-packet", problem=str(error)))
        except Unavailable as error:
            self.end(Refused("mqtt.receipts-unusable", problem=str(error)))
        except OSError:
            self.end(Refused("mqtt.broker-away", cause=_LOST))
        except Exception as error:  # noqa: BLE001 - given to the session, which fails with it
            self.failure = error
            self.end(Refused("mqtt.broker-away"))
        self.send()

    def _take(self, data: bytes) -> None:
        """Hand on what came in a chunk, in order: messages together, each other packet to paho."""
        found = self._packets.feed(data, self._now_us())
        if _ONLY_MESSAGES.issuperset(map(type, found)):
            if found:
                self._hand(cast(list[Message], found))
            return
        messages: list[Message] = []
        for packet in found:
            if isinstance(packet, Message):
                messages.append(packet)
                continue
            if messages:
                self._hand(messages)
                messages = []
            if isinstance(packet, Rejected):
                raise packet
            for do in self.wire.give(packet):
                do()
            if self._descriptor < 0:
                return
        if messages:
            self._hand(messages)

    def _hand(self, messages: list[Message]) -> None:
        if not self.granted:
            raise Rejected("a PUBLISH before the session was granted")
        self._heard(messages)

    def _hold(self) -> None:
        """Stop reading while nothing is kept; the broker waits, or closes and keeps what comes."""
        self._held = True
        self._loop.remove_reader(self._descriptor)
        self._loop.call_later(_HOLD_S, self._resume)

    def _resume(self) -> None:
        if self._descriptor < 0:
            return
        if not self._kept():
            self._loop.call_later(_HOLD_S, self._resume)
            return
        self._held = False
        self._loop.add_reader(self._descriptor, self._readable)
        self._readable()

    # Writing.

    def want_write(self, *_: Any) -> None:
        """There is something to send: it goes with the next `send`, at the end of this turn."""
        if not self._writing:
            self._writing = True
            self._loop.call_soon(self.send)

    def send(self) -> None:
        """Send what waits, as far as the socket takes it."""
        self._writing = False
        buffered = self.wire.buffered
        if self._descriptor < 0 or buffered is None:
            return
        try:
            if self.wire.want_write():
                self.wire.loop_write()
            sent = not buffered.unsent or buffered.flush()
        except OSError:
            self.end(Refused("mqtt.broker-away", cause=_LOST))
            return
        if self._descriptor < 0:
            return
        if not sent:
            self._writing = True
        if sent is self._watching:
            self._watching = not sent
            if sent:
                self._loop.remove_writer(self._descriptor)
            else:
                self._loop.add_writer(self._descriptor, self.send)

    def _beat(self) -> None:
        """Let paho keep the connection alive, and notice one that is only half there."""
        if self._descriptor >= 0:
            self._timer = self._loop.call_later(_MISC_S, self._beat)
            self.wire.loop_misc()
            self.send()

    def _unwatch(self) -> None:
        """Stop watching the socket, at once: its number may soon be another's."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
            self._descriptor = -1

    def _disconnected(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        self._unwatch()
        if flags.is_disconnect_packet_from_server:
            named = DISCONNECT_REASONS.get(reason.value, "mqtt.broker-away")
            self.end(Refused(named, cause=str(reason)))
        else:  # paho says so before it says what was wrong, if it was a packet
            cause = "mqtt.keepalive-timeout" if reason.value == 141 else _LOST
            self._loop.call_soon(self.end, Refused("mqtt.broker-away", cause=cause))


async def opened(wire: Wire) -> None:
    """Open a wire in a thread of its own, and close it again when that is cancelled. Raises Refused."""
    opening = asyncio.ensure_future(asyncio.to_thread(wire.open))
    try:
        await asyncio.shield(opening)
    except asyncio.CancelledError:
        with contextlib.suppress(Refused):
            await opening
        wire.close()
        raise


async def discard(
    settings: BrokerSettings, client_id: str, password: str | None, context: ssl.SSLContext | None
) -> None:
    """Have the broker drop what it keeps for a client: the whole of a short MQTT 3.1.1 session. Raises Refused."""
    answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    wire = Wire(settings, client_id, password, False, context)

    def hear(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not answered.done():
            answered.set_result(reason.value)

    wire.on_connect = wire.later(hear)
    await opened(wire)
    link = Connection(wire, False, lambda: 0, lambda: True, lambda messages: None)
    try:
        await link.granted_by(answered, settings.connect_timeout_ms / 1000)
    finally:
        link.stop()
