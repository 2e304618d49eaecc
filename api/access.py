"""Who is looking, and what they may see: bearer tokens, the console's cookie, or nobody in particular."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from fastapi import Depends, Request

from api.database import Database
from api.settings import Settings
from muster.clock import Clock
from muster.errors import RequestError

COOKIE = "muster_token"
_REMEMBERED_S = 2.0
_REMEMBERED = 1000
_SAFE = ("GET", "HEAD", "OPTIONS")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who looks. enterprise: the number of the only one they see; None is the operator's view of all."""

    by: Literal["token", "anonymous"]
    label: str
    enterprise: int | None
    enterprise_code: str | None
    may_write: bool


ANONYMOUS = Viewer("anonymous", "", None, None, False)


class Access:
    """Tells who is behind a request; a token's fate is asked for again after two seconds."""

    def __init__(self, settings: Settings, database: Database, clock: Clock) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Viewer | None]] = OrderedDict()

    async def viewer(self, request: Request) -> Viewer:
        """Return who is behind the request.

        Raises:
            RequestError: 401 without a token in force where one is needed, 403 for a cookie from another site.
        """
        bearer = _bearer(request)
        if bearer is not None:
            found = await self.of_token(bearer)
            if found is None:
                raise RequestError(
                    "the token is unknown, expired or revoked", status=401, code="unauthorized"
                )
            return found
        cookie = request.cookies.get(COOKIE)
        if cookie is not None:
            found = await self.of_token(cookie)
            if found is not None:
                _refuse_other_sites(request)
                return found
        if self._settings.anonymous == "operator":
            self._refuse_other_names(request)
            return ANONYMOUS
        raise RequestError("send a token as `Authorization: Bearer …`", status=401, code="unauthorized")

    async def of_token(self, token: str) -> Viewer | None:
        """Return whom a token stands for, None when it is not in force."""
        digest = hashlib.sha256(token.encode()).digest()
        now = self._clock.monotonic()
        remembered = self._known.get(digest)
        if remembered is not None and remembered[0] > now:
            return remembered[1]
        row = await self._database.token(digest)
        viewer = None if row is None else Viewer("token", row[3], row[1], row[2], row[4])
        self._known[digest] = (now + _REMEMBERED_S, viewer)
        self._known.move_to_end(digest)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return viewer

    def _refuse_other_names(self, request: Request) -> None:
        """Refuse what reaches an anonymous API under a foreign name: a web page that rebinds its own name to us."""
        name = (urlsplit(f"//{request.headers.get('host', '')}").hostname or "").lower()
        allowed = (*_LOOPBACK, self._settings.host, *self._settings.hosts)
        if "*" not in allowed and name not in allowed:
            raise RequestError(
                f"{name or 'no name'}: without a token only {', '.join(sorted(set(allowed)))} are served",
                status=421,
                code="foreign-host",
            )


def _bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _refuse_other_sites(request: Request) -> None:
    """Refuse a change that the browser was talked into by another site (the cookie is SameSite=Strict besides)."""
    if request.method in _SAFE:
        return
    origin = request.headers.get("origin")
    told = request.headers.get("sec-fetch-site", "same-origin")
    same = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    if told not in ("same-origin", "none") or not same:
        raise RequestError("the request comes from another site", status=403, code="foreign-site")


async def current_viewer(request: Request) -> Viewer:
    """The dependency of every route that shows something."""
    access: Access = request.app.state.muster.access
    return await access.viewer(request)


async def writing_viewer(viewer: Annotated[Viewer, Depends(current_viewer)]) -> Viewer:
    """The dependency of every route that changes something."""
    if not viewer.may_write:
        raise RequestError("this token may only read", status=403, code="read-only")
    return viewer


CurrentViewer = Annotated[Viewer, Depends(current_viewer)]
WritingViewer = Annotated[Viewer, Depends(writing_viewer)]
