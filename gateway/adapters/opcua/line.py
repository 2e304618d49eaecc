"""The connection below a session: asyncua's own, with a short way for the messages that come and go all the time.

Hello, channel, tokens, chunks, signing and encryption are asyncua's. What is done here is only what asyncua does with a
whole, plain message of the current token, without an object for each of its headers; any other message, and any that is
out of order or whose signature does not fit, goes to asyncua as it came, which takes it, asks the previous key, or ends
the connection.
"""

import struct
from collections.abc import Sequence
from typing import Protocol

from asyncua import ua
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import Cryptography, CryptographyNone, SecurityPolicy
from asyncua.crypto.uacrypto import InvalidSignature

from gateway.adapters.opcua import bounds  # noqa: F401 - set where asyncua decodes for us

_LONGEST = 1 << 24
_SIZE_AT, _SIZE_END = 4, 8
_HEADER = struct.Struct("<4sIII")  # type and chunk, size, channel, token
_SEQUENCE = struct.Struct("<II")  # sequence number, request id
_PLAIN = struct.Struct("<4sIIIII")  # both, where nothing is encrypted
_WHOLE = b"MSGF"
_LAST_SEQUENCE = 2**32 - 1  # the next is 1


class Listener(Protocol):
    """Whoever sent a prepared request."""

    def answered(self, body: bytes, at: int) -> None:
        """Take the answer's body, which begins at `at`."""
        ...

    def broken(self, error: Exception) -> None:
        """Take note that no answer will come."""
        ...


class Socket(UASocketProtocol):  # type: ignore[misc]  # the library tells no types
    """One connection. Requests that asyncua sends are answered as asyncua does, prepared ones to their listener."""

    def __init__(self, timeout_s: float, policy: SecurityPolicy) -> None:
        super().__init__(timeout_s, security_policy=policy)
        self._listeners: dict[int, Listener] = {}
        self._begun = b""

    def send(self, bodies: Sequence[bytes], listener: Listener) -> None:
        """Send prepared requests of one chunk each, signed and encrypted as the channel is, in one write.

        Raises ConnectionError.
        """
        if self.transport is None:
            raise ConnectionError("connection is not open")
        self.revolve_security_token()
        sealed = []
        for body in bodies:
            self._request_id += 1
            self._listeners[self._request_id] = listener
            sealed.append(self._sealed(body))
        self.transport.write(b"".join(sealed))

    def next_handle(self) -> int:
        """Return the next request's handle."""
        self._request_handle += 1
        return int(self._request_handle)

    def data_received(self, data: bytes) -> None:
        """Take bytes as they come; whole messages are passed on, a begun one waits for its rest."""
        if self._begun:
            data, self._begun = self._begun + data, b""
        at, end = 0, len(data)
        while end - at >= _SIZE_END:
            size = int.from_bytes(data[at + _SIZE_AT : at + _SIZE_END], "little")
            if not _SIZE_END <= size <= _LONGEST:
                self.disconnect_socket()
                return
            if end - at < size:
                break
            frame = data if size == end else data[at : at + size]
            at += size
            if not self._quick(frame):
                self._process_received_data(frame)
            if self.transport is None or self.transport.is_closing():
                return
        if at < end:
            self._begun = data[at:]

    def _sealed(self, body: bytes) -> bytes:
        """Return a small message of the current token, as asyncua's `MessageChunk.to_binary` lays it out."""
        connection = self._connection
        connection._sequence_number = sequence = connection._sequence_number % _LAST_SEQUENCE + 1
        token, crypto = connection.security_token, connection.security_policy.symmetric_cryptography
        if type(crypto) is CryptographyNone:
            size = _PLAIN.size + len(body)
            head = _PLAIN.pack(_WHOLE, size, token.ChannelId, token.TokenId, sequence, self._request_id)
            return head + body
        plain = _SEQUENCE.pack(sequence, self._request_id) + body
        plain += crypto.padding(len(plain))
        size = _HEADER.size + (len(plain) + crypto.signature_size()) // crypto.plain_block_size() * (
            crypto.encrypted_block_size()
        )
        head = _HEADER.pack(_WHOLE, size, token.ChannelId, token.TokenId)
        sealed: bytes = head + crypto.encrypt(plain + crypto.signature(head + plain))
        return sealed

    def _quick(self, frame: bytes) -> bool:
        """Take a whole message of the current token; whether that was done."""
        if len(frame) < _PLAIN.size:
            return False
        connection = self._connection
        token, crypto = connection.security_token, connection.security_policy.symmetric_cryptography
        kind, size, channel, token_id, sequence, request = _PLAIN.unpack_from(frame)
        if (
            kind != _WHOLE
            or channel != token.ChannelId
            or token_id != token.TokenId
            or size > connection._limits.max_recv_buffer
            or connection._incoming_parts
        ):
            return False
        plain, at = frame, _PLAIN.size
        if type(crypto) is not CryptographyNone:
            try:
                plain, at = _opened(frame, crypto), _SEQUENCE.size
                sequence, request = _SEQUENCE.unpack_from(plain)
            except (InvalidSignature, ValueError, struct.error):
                return False
        if sequence - 1 != connection._peer_sequence_number:
            return False
        connection._peer_sequence_number = sequence
        listener = self._listeners.pop(request, None)
        if listener is not None:
            listener.answered(plain, at)
            return True
        try:
            super()._call_callback(request, Buffer(plain, at))
        except ua.UaError:  # nobody asked for it
            self.disconnect_socket()
        return True

    def _call_callback(self, request_id: int, body: Buffer | ua.Acknowledge) -> None:
        listener = self._listeners.pop(request_id, None)
        if listener is None:
            super()._call_callback(request_id, body)
        else:
            listener.answered(bytes(body), 0)

    def _fail_all_pending(self, exc: Exception) -> None:
        listeners, self._listeners = self._listeners, {}
        for listener in set(listeners.values()):
            listener.broken(exc)
        super()._fail_all_pending(exc)


def _opened(frame: bytes, crypto: Cryptography) -> bytes:
    """Return what a message holds, its sequence numbers first. Raises InvalidSignature, ValueError."""
    crypto.use_prev_key = False
    plain: bytes = crypto.decrypt(frame[_HEADER.size :])
    signature_size = crypto.vsignature_size()
    if signature_size:
        signed, signature = plain[:-signature_size], plain[-signature_size:]
        crypto.verify(frame[: _HEADER.size] + signed, signature)
        plain = crypto.remove_padding(signed)
    return plain


class Line(UaClient):  # type: ignore[misc]  # the library tells no types
    """asyncua's client of the services, over a `Socket`."""

    def _make_protocol(self) -> Socket:
        self.protocol = socket = Socket(self._timeout, self.security_policy)
        socket.pre_request_hook = self._pre_request_hook
        socket.on_connection_lost = self._on_transport_lost
        socket.is_session_closing = self._is_session_closing
        return socket
