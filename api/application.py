"""The application: what it shares, its routes, and what starts and stops with it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware.gzip import GZipMiddleware

from api import openapi
from api.access import Access
from api.console import console
from api.database import Database
from api.live.hub import Hub
from api.middleware import BodyLimit, Frame
from api.problems import handle_problems
from api.remembered import Remembered
from api.road import Road
from api.routes import (
    book,
    counts,
    devices,
    discovery,
    health,
    live,
    operations,
    readings,
    rulebooks,
    session,
)
from api.routes.answering import refuse_unknown
from api.settings import Settings
from api.state import State
from evidence.rulebooks import rulebooks as programmes
from muster.clock import Clock, SystemClock
from muster.protocol import ProtocolInfo
from store.connection import pool

ROOT = "/api/v1"
_BODY_LIMIT = 64 * 1024
_POOL_MOST = 8
_DAYS_LAST_S = 60.0


def create_app(
    settings: Settings, protocols: Mapping[str, ProtocolInfo], clock: Clock | None = None
) -> FastAPI:
    """Return the application; it connects to the database and the bus when it is started.

    Raises (when started):
        ConfigError: the database's address or password is wrong.
        Unavailable: the database cannot be reached now.
    """
    ticking = clock or SystemClock()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        stop = asyncio.Event()
        async with pool(settings.database, "api", most=_POOL_MOST) as connections:
            database = Database(connections, settings.statement_timeout_s)
            rulebook = next(iter(programmes().values()))
            families = {name: info.family for name, info in protocols.items()}
            app.state.muster = State(
                settings,
                protocols,
                families,
                rulebook,
                database,
                Access(settings, database, ticking),
                Road(settings.bus, settings.request_timeout_s),
                Hub(database, rulebook.presence, families, ticking),
                Remembered(ticking, _DAYS_LAST_S),
                asyncio.Lock(),
            )
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(app.state.muster.road.run(stop), name="road")
                polling = tasks.create_task(app.state.muster.hub.run(), name="live")
                yield
                stop.set()
                polling.cancel()

    app = FastAPI(
        title="Muster",
        lifespan=lifespan,
        openapi_url=f"{ROOT}/openapi.json",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(refuse_unknown)],
    )
    app.add_middleware(
        BodyLimit, usual=_BODY_LIMIT, larger={f"{ROOT}/book/import": settings.upload_limit_bytes}
    )
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    app.add_middleware(Frame, root=ROOT)
    handle_problems(app)
    app.include_router(_versioned())
    app.include_router(live.router)
    app.include_router(health.router)
    if settings.console_dir is not None:
        app.include_router(console(settings.console_dir))

    def described() -> dict[str, object]:
        if app.openapi_schema is None:
            app.openapi_schema = openapi.describe(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]
    return app


def _versioned() -> APIRouter:
    version = APIRouter(prefix=ROOT)
    for part in (counts, devices, readings, operations, discovery, book, rulebooks, live, session):
        version.include_router(part.router)
    return version
