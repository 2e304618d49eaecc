"""Leaving a session ends it, and never keeps the leaver from ending."""

import asyncio
from typing import cast

import pytest
from asyncua import Client

from gateway.adapters.opcua.entry import leave


class Swallowing:
    """Ends its own task as asyncua does: whatever cancellation comes meanwhile is taken for that task's."""

    def __init__(self) -> None:
        self.leaving, self.left = asyncio.Event(), False

    async def disconnect(self) -> None:
        own = asyncio.create_task(asyncio.sleep(60))
        self.leaving.set()
        try:
            await own
        except asyncio.CancelledError:
            self.left = True


async def test_a_cancellation_while_leaving_is_not_lost() -> None:
    client = Swallowing()
    task = asyncio.create_task(leave(cast(Client, client)))
    await client.leaving.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.left
