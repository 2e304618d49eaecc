"""What is true of every request: a limit to its body, security headers, one line of metrics."""

import time
from collections.abc import Mapping

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem

_REQUESTS = Counter(
    "muster_http_requests_total", "Answers by route and status.", ["method", "route", "status"]
)
_SECONDS = Histogram(
    "muster_http_seconds",
    "Time until an answer began.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Styles may stand in the page because the console's components write theirs at run time; scripts may not."""


class BodyLimit:
    """Refuses bodies beyond a limit, before or while they are read; `larger` gives the limits of some paths."""

    def __init__(self, app: ASGIApp, usual: int, larger: Mapping[str, int]) -> None:
        self._app = app
        self._usual = usual
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._larger.get(scope["path"], self._usual)
        told = Headers(scope=scope).get("content-length", "0")
        if not told.isdecimal() or int(told) > limit:
            refusal = problem(Request(scope), 413, _too_large(limit))
            await refusal(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, _too_large(limit))
            return message

        await self._app(scope, counted, send)


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit} bytes"


class Frame:
    """Wraps the application: adds headers, counts answers and times them."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        self._app = app
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.monotonic()

        async def framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                route = self._route(scope)
                _REQUESTS.labels(scope["method"], route, message["status"]).inc()
                _SECONDS.labels(route).observe(time.monotonic() - begin)
            await send(message)

        await self._app(scope, receive, framed)

    def _route(self, scope: Scope) -> str:
        """Return the path's pattern as documented; what met no route shares one name."""
        path: str = getattr(scope.get("route"), "path", "other")
        within = scope["path"].startswith(self._root) and not path.startswith(self._root) and path != "other"
        return self._root + path if within else path
