"""Leaving a session whose library swallows cancellations: the cancellation still counts."""

import asyncio

import pytest

from gateway.adapters.opcua.entry import leave


class Swallowing:
    """A client that waits for its own cancelled task, as asyncua's does, and takes any cancellation for that one."""

    def __init__(self) -> None:
        self.leaving = asyncio.Event()

    async def disconnect(self) -> None:
        self.leaving.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return

    def disconnect_socket(self) -> None: ...


async def test_a_cancellation_while_a_session_is_left_is_not_lost() -> None:
    client = Swallowing()
    left = asyncio.create_task(leave(client))  # type: ignore[arg-type]
    await client.leaving.wait()
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left


async def test_a_session_that_is_left_for_a_cancellation_is_left_whole() -> None:
    client = Swallowing()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await leave(client)  # type: ignore[arg-type]

    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert client.leaving.is_set()
