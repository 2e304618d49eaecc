"""The bench of the Modbus room's tests."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.unit.modbus.bench import Bench, settle


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    made = Bench(monkeypatch)
    await settle()
    yield made
    made.task.cancel()
    await asyncio.gather(made.task, return_exceptions=True)
