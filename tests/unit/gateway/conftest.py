"""Recorders for the tests, one folder a test."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from muster.clock import ManualClock
from tests.unit.gateway.recording import Bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Callable[..., Bench]]:
    clock = ManualClock()
    benches: list[Bench] = []

    def make(limit: int = 1 << 20) -> Bench:
        benches.append(Bench(tmp_path / "outbox", clock, limit))
        return benches[-1]

    yield make
    benches[-1].kill()
