"""The one place that touches paho: a client per connection, its socket, and its errors as reasons for people.

paho builds what is sent, and understands what is not a message. It does not read the socket: `take` does, for many
packets at once, and `give` hands it those that `packets` left to it. Three of paho's hooks are overridden: the one that
reads, and two that make sockets, so that `Buffered` lies beneath and a certificate's name may differ from the host.
"""

import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any

from paho.mqtt import MQTTException
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.adapters.mqtt.buffered import CHUNK_BYTES, Buffered
from gateway.adapters.mqtt.packets import MOST_PACKET_BYTES
from gateway.adapters.mqtt.settings import BrokerSettings, Tls
from muster.errors import ConfigError, Rejected

_SESSION_KEPT_S = 7 * 24 * 3600
_RECEIVE_MAXIMUM = 8192
"""Messages that an MQTT 5 broker may have under way to us: they are acknowledged in batches, once durable."""

CONNACK_REASONS = {
    1: "mqtt.protocol-version",
    2: "mqtt.client-id-refused",
    3: "mqtt.server-unavailable",
    4: "mqtt.bad-credentials",
    5: "mqtt.not-authorised",
    132: "mqtt.protocol-version",
    133: "mqtt.client-id-refused",
    134: "mqtt.bad-credentials",
    135: "mqtt.not-authorised",
    136: "mqtt.server-unavailable",
    137: "mqtt.server-unavailable",
    138: "mqtt.banned",
    140: "mqtt.bad-credentials",
}
"""CONNACK return codes (MQTT 3.1.1, table 3.1) and reason codes (MQTT 5, table 3-1)."""
DISCONNECT_REASONS = {
    135: "mqtt.not-authorised",
    137: "mqtt.server-unavailable",
    139: "mqtt.broker-away",
    141: "mqtt.keepalive-timeout",
    142: "mqtt.session-taken-over",
    149: "mqtt.packet-too-large",
    151: "mqtt.quota-exceeded",
    152: "mqtt.disconnected-by-operator",
}
"""DISCONNECT reason codes that a broker sends (MQTT 5, table 3-10)."""


class Refused(Exception):
    """A connection that could not be made, or ended; `reason` is a catalogue key."""

    def __init__(self, reason: str, **detail: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Wire(paho.Client):
    """One connection's client: manual acknowledgement, no thread, no reconnecting of its own."""

    def __init__(
        self,
        settings: BrokerSettings,
        client_id: str,
        password: str | None,
        lasting: bool,
        chosen: ssl.SSLContext | None,
        *,
        fresh: bool = False,
    ) -> None:
        """lasting: whether the broker keeps the session; chosen: how TLS is spoken, made by `tls_context`.

        fresh: whether it drops first what it kept, which MQTT 3.1.1 cannot say together with `lasting`.
        """
        self.buffered: Buffered | None = None
        self.bare = settings.transport == "tcp"
        """Whether nothing stands between us and the socket: after fewer bytes than asked for there are none."""
        self._settings = settings
        self._given = memoryview(b"")
        self._told: list[Callable[[], None]] = []
        five = settings.version == "5"
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if five else not lasting,
            protocol=paho.MQTTv5 if five else paho.MQTTv311,
            transport="websockets" if settings.transport.startswith("websocket") else "tcp",
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self.connect_timeout = settings.connect_timeout_ms / 1000
        if settings.username is not None:
            self.username_pw_set(settings.username, password)
        if settings.transport.startswith("websocket"):
            self.ws_set_options(settings.path)
        if chosen is not None:
            self.tls_set_context(chosen)
        properties = None
        if five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.ReceiveMaximum = _RECEIVE_MAXIMUM
            properties.MaximumPacketSize = MOST_PACKET_BYTES
            if lasting:
                properties.SessionExpiryInterval = _SESSION_KEPT_S
        host, port = settings.address
        self.connect_async(
            host,
            port,
            settings.keepalive_s,
            clean_start=fresh or not lasting if five else paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties,
        )

    def open(self) -> None:
        """Connect and ask for a session; blocks its thread for at most the timeout per step.

        Raises:
            Refused: it cannot be made now.
        """
        try:
            self.reconnect()
        except ssl.SSLCertVerificationError as error:
            raise Refused("mqtt.certificate-refused", problem=error.verify_message) from error
        except ssl.SSLError as error:
            raise Refused("mqtt.tls-failed", problem=error.reason or str(error)) from error
        except paho.WebsocketConnectionError as error:
            raise Refused("mqtt.websocket-refused", problem=str(error)) from error
        except TimeoutError as error:
            raise Refused("mqtt.broker-away", cause="mqtt.connect-timeout") from error
        except ConnectionRefusedError as error:
            raise Refused("mqtt.broker-away", cause="mqtt.connection-refused") from error
        except socket.gaierror as error:
            raise Refused("mqtt.broker-away", cause="mqtt.unknown-host") from error
        except OSError as error:
            problem = error.strerror or str(error)
            raise Refused("mqtt.broker-away", cause="mqtt.unreachable", problem=problem) from error

    def take(self) -> bytes | None:
        """Return bytes that came; empty when the broker has closed, None when there are none now. Raises OSError."""
        assert self.buffered is not None
        self.buffered.blocked = False
        while (connected := self.socket()) is not None:
            try:
                taken: bytes = connected.recv(CHUNK_BYTES)
            except BlockingIOError:
                if self.buffered.blocked:
                    return None  # otherwise a WebSocket's own frame came
            else:
                return taken
        return b""

    def give(self, packet: bytes) -> list[Callable[[], None]]:
        """Let paho understand a whole packet; return what is to be done about it.

        Raises Rejected when the packet is malformed.
        """
        self._given = memoryview(packet)
        try:
            result = self.loop_read()
        except (
            struct.error,
            IndexError,
            KeyError,
            ValueError,
            TypeError,
            AssertionError,
            MQTTException,
        ) as error:
            raise Rejected(f"a packet of type {packet[0] >> 4}: {error or type(error).__name__}") from error
        finally:
            told, self._told = self._told, []
        if not told and (result is MQTTErrorCode.MQTT_ERR_PROTOCOL or self._given):
            raise Rejected(f"a packet of type {packet[0] >> 4} of {len(packet)} bytes")
        return told

    def later(self, do: Callable[..., None]) -> Callable[..., None]:
        """Return a callback for paho; what it is to do is returned by `give`, apart from paho's own errors."""
        return lambda *said: self._told.append(lambda: do(*said))

    def acknowledge(self, packets: bytes | bytearray) -> None:
        """Send PUBACK and PUBCOMP packets with the next flush."""
        connected = self.socket()
        if connected is not None:
            connected.send(packets)

    def close(self) -> None:
        """Close the socket, if there is one, without a word to the broker, which keeps the session."""
        if self.buffered is not None:
            self.buffered.close()
        self.on_disconnect = None
        self._sock_close()

    def _sock_recv(self, bufsize: int) -> bytes:
        if not self._given:
            raise BlockingIOError
        taken = bytes(self._given[:bufsize])
        self._given = self._given[bufsize:]
        return taken

    def _create_socket_connection(self) -> Any:
        host, port = self._settings.address
        raw = socket.create_connection((host, port), self.connect_timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._settings.encrypted:
            return raw
        self.buffered = Buffered(raw)
        return self.buffered

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> Any:
        assert self._ssl_context is not None
        tls = self._settings.tls
        name = (tls.server_name if tls else None) or self._settings.address[0]
        try:
            raw = self._ssl_context.wrap_socket(tcp_sock, server_hostname=name)
        except OSError:
            tcp_sock.close()
            raise
        self.buffered = Buffered(raw)
        return self.buffered


def tls_context(settings: BrokerSettings) -> ssl.SSLContext | None:
    """Return a context that checks the broker's certificate and name, always; None without TLS.

    Raises:
        ConfigError: a certificate's file cannot be used.
    """
    if not settings.encrypted:
        return None
    tls = settings.tls or Tls()
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.certificate_file is not None:
            context.load_cert_chain(tls.certificate_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"broker.tls: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def password_of(settings: BrokerSettings) -> str | None:
    """Read the password, anew for each connection so that it may be changed. Raises ConfigError."""
    if settings.password_file is None:
        return None
    try:
        return settings.password_file.read_text("utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"broker.password_file: {error}") from error
