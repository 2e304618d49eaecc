"""How long a group waits for more messages to share its transaction."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg

from ingest.reader import GROUP_WAIT_MOST_S, GROUP_WAIT_S, Reader, group_wait_s
from muster.clock import SystemClock

took_s = st.floats(0, 100)


@given(took_s, took_s, took_s)
def test_longer_transactions_let_a_group_wait_longer_within_its_limits(a: float, b: float, c: float) -> None:
    assert GROUP_WAIT_S <= group_wait_s(a, b) <= GROUP_WAIT_MOST_S
    assert group_wait_s(a, min(b, c)) <= group_wait_s(a, max(b, c))


def test_a_group_waits_least_while_transactions_are_short_and_most_once_they_take_the_time() -> None:
    assert group_wait_s(0.004, 0.005) == GROUP_WAIT_S
    assert GROUP_WAIT_S < group_wait_s(0.03, 0.03) < GROUP_WAIT_MOST_S
    assert group_wait_s(0.1, 0.1) == GROUP_WAIT_MOST_S


def test_one_transaction_that_was_held_up_delays_nothing() -> None:
    assert group_wait_s(0.004, 5.0) == group_wait_s(5.0, 0.004) == GROUP_WAIT_S


class Stream:
    """As much of a NATS client as a reader needs; `deliver` brings it the next message."""

    def __init__(self) -> None:
        self.stats, self.max_payload, self.is_connected = {"reconnects": 0}, 2**20, False
        self._count = 0

    def jetstream(self) -> Any:
        return SimpleNamespace(add_consumer=self._accept)

    def new_inbox(self) -> str:
        return "inbox"

    async def subscribe(self, subject: str, **options: Any) -> Any:
        self._receive = options["cb"]
        return SimpleNamespace(subject=subject, unsubscribe=self._accept)

    async def publish(self, *_: Any, **__: Any) -> None:
        return

    async def _accept(self, *_: Any) -> None:
        return

    async def deliver(self) -> None:
        self._count += 1
        reply = f"$JS.ACK.stream.consumer.1.{self._count}.{self._count}.0.0"
        await self._receive(Msg(cast(Client, self), "batch.0.1", reply, b"body"))


@pytest.mark.parametrize(("took_s", "together"), [(0.0, 1), (GROUP_WAIT_S, 2)])
async def test_messages_share_a_transaction_where_those_before_took_long(
    took_s: float, together: int
) -> None:
    stream = Stream()
    async with Reader(cast(Client, stream), 0, 0, SystemClock()) as reader:
        for _ in range(2):
            await stream.deliver()
            assert len(await reader.group()) == 1
            await asyncio.sleep(took_s)
        await stream.deliver()
        group = asyncio.create_task(reader.group())
        await asyncio.sleep(3 * GROUP_WAIT_S)
        await stream.deliver()
        assert len(await group) == together
