"""The plant, and clients that see it as the operator, as one enterprise, as nobody."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from tests.conftest import Database
from tests.integration.api.plant import Plant, build, looking, serving


@pytest.fixture
def plant(database: Database) -> Plant:
    return build(database)


@pytest.fixture
async def app(plant: Plant) -> AsyncIterator[FastAPI]:
    async with serving(plant) as app:
        yield app


@pytest.fixture
async def operator(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with looking(app) as client:
        yield client


@pytest.fixture
async def tenant(app: FastAPI, plant: Plant) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may see enterprise `yl` only."""
    async with looking(app, await plant.token("yl")) as client:
        yield client
