"""What the routes of one running application share, made at its start."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.access import Access
from api.database import Database
from api.live.hub import Hub
from api.models.counts import DaysAnswer
from api.remembered import Remembered
from api.road import Road
from api.settings import Settings
from evidence.counting.count import Scope
from evidence.rulebooks import Rulebook
from muster.presence import Definition
from muster.protocol import ProtocolInfo


@dataclass(frozen=True, slots=True)
class State:
    """The shared parts. families: each protocol's family; rulebook: the programme that counts follow."""

    settings: Settings
    protocols: Mapping[str, ProtocolInfo]
    families: Mapping[str, str]
    rulebook: Rulebook
    database: Database
    access: Access
    road: Road
    hub: Hub
    days: Remembered[dict[Scope, DaysAnswer]]
    """How many devices last, for counts of now: a month of presence is read once a minute at most."""

    importing: asyncio.Lock
    """Held while a device book is read: one large file in memory at a time."""

    @property
    def definition(self) -> Definition:
        """The definition of presence that counts follow."""
        return self.rulebook.presence


def current_state(request: Request) -> State:
    """The dependency that gives a route what it shares with the others."""
    state: State = request.app.state.muster
    return state


CurrentState = Annotated[State, Depends(current_state)]
