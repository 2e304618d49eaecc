"""One server's sessions come by turns: at most two are created in any second, whoever asks and however many wait."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from asyncua import Client, ua
from asyncua.common.shortcuts import Shortcuts
from asyncua.crypto.security_policies import SecurityPolicyNone

from gateway.adapters.opcua.line import Line

_CREATED = 2
_WITHIN_S = 1.0
_OPENING = 4
_NEVER_S = 1e9
LONGEST_WAIT_S = 2.0
"""How long a session that is being opened waits at most until it may be created."""


class Turns:
    """The order in which one server's sessions are opened.

    opening: held while a session is opened; only a few are at once, so that nobody waits long with a channel open.
    """

    def __init__(self) -> None:
        self.opening = asyncio.Semaphore(_OPENING)
        self._slots = asyncio.Semaphore(_CREATED)
        self._through = asyncio.Event()

    @contextlib.asynccontextmanager
    async def creation(self) -> AsyncIterator[None]:
        """Wait until a session may be created; the place is free again a second after its answer."""
        await self._slots.acquire()
        try:
            yield
        finally:
            asyncio.get_running_loop().call_later(_WITHIN_S, self._slots.release)

    def got_through(self) -> None:
        """Note that the server answers: who rested because it could not be reached tries now."""
        self._through.set()
        self._through = asyncio.Event()

    async def rest(self, rest_s: float) -> None:
        """Rest until `rest_s` have passed or another session of this server has got through."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rest_s):
                await self._through.wait()


class TurnClient(Client):  # type: ignore[misc]  # the library tells no types
    """A client whose session is created when it is its turn.

    The library's own watchdog asks every second and gives a slow server up after one; the session's keep-alive, with
    the device's own `timeout_ms`, takes its place.
    """

    def __init__(self, url: str, timeout_s: float, turns: Turns) -> None:
        super().__init__(url, timeout=timeout_s, watchdog_intervall=_NEVER_S)
        self.uaclient = Line(timeout_s)
        self.uaclient.pre_request_hook = self._wait_until_ready
        self.nodes = Shortcuts(self.uaclient.session)
        self.check_password: Callable[[], None] | None = None
        """Called before a password goes out unencrypted; what it raises keeps the password here."""
        self._turns = turns

    async def _stale_watchdog_loop(self) -> None:
        """Watch none of the library's subscriptions, twice a second: there are none."""

    async def create_session(self) -> ua.CreateSessionResult:
        """Wait for the turn, then ask; the answer says how the server wants a password."""
        async with self._turns.creation():
            made = await super().create_session()
        if self.check_password is not None and self._would_send_in_clear():
            self.check_password()
        return made

    def _would_send_in_clear(self) -> bool:
        wanted = self.server_policy(ua.UserTokenType.UserName).SecurityPolicyUri
        encrypts = self.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt
        return not encrypts and (not wanted or wanted == SecurityPolicyNone.URI)
