"""The live stream as server-sent events."""

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Header, Request
from fastapi.responses import StreamingResponse

from api.access import CurrentViewer, Viewer
from api.routes.answering import router_of
from api.state import CurrentState, State
from muster.errors import RequestError

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_CHECK_EVERY_S = 3.0
router = router_of("live")


@router.get("/live", summary="Follow the count and every device's state", response_class=StreamingResponse)
async def follow_live(
    request: Request,
    viewer: CurrentViewer,
    state: CurrentState,
    last_event_id: Annotated[
        str | None, Header(description="Set by the browser when it reconnects.", max_length=100)
    ] = None,
) -> StreamingResponse:
    """Events: `count` (data: LiveCount) each second; `states` (data: LiveStates), a snapshot first, then changes.

    With `Last-Event-ID` of the last half minute the changes since then come instead of a snapshot. A viewer that
    does not keep up gets the newest picture, never a queue of old ones.
    """
    events = _encoded(state, request, viewer, last_event_id)
    return StreamingResponse(events, media_type="text/event-stream", headers=_HEADERS)


async def _encoded(
    state: State, request: Request, viewer: Viewer, last_event_id: str | None
) -> AsyncIterator[bytes]:
    """Yield events until the viewer leaves, or is no longer who it was: its token was revoked or expired."""
    checked = time.monotonic()
    async with contextlib.aclosing(state.hub.watch(viewer.enterprise, last_event_id)) as pictures:
        async for picture in pictures:
            yield picture
            if time.monotonic() - checked < _CHECK_EVERY_S:
                continue
            checked = time.monotonic()
            try:
                if await state.access.viewer(request) != viewer:
                    return
            except RequestError:
                return
