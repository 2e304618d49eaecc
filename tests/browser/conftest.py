"""A real API on a real database with a small living plant, and a real browser to look at it."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from psycopg.conninfo import make_conninfo

from tests.browser.plant import Heartbeat, Plant, build
from tests.conftest import PASSWORDS, Bus, a_free_port

DIST = Path(__file__).parents[2] / "dashboards" / "console" / "dist"
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium, without a window; ended with its module, for its event loop is this thread's."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        expect.set_options(timeout=20_000)  # a limit for what never comes; a busy machine may take its time
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Api:
    """An API process that can be stopped and started again on its port."""

    def __init__(self, settings: Path, url: str, log: Path) -> None:
        self.url = url
        self._command = [sys.executable, "-m", "deploy.process", "api", "--settings", str(settings)]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        for _ in range(200):
            if self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=2):
                    return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"the API did not start:\n{self._log.read_text('utf-8')[-4000:]}")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@dataclass
class Site:
    """Where the console is, and what stands behind it."""

    api: Api
    plant: Plant
    folder: Path
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.api.url


@contextmanager
def serving(folder: Path, dsn: str, bus: Bus, anonymous: str) -> Iterator[Api]:
    """Run an API over a database for the block."""
    port = a_free_port()
    settings = folder / f"api-{port}.json"
    settings.write_text(
        json.dumps(
            {
                "host": "127.0.0.1",
                "port": port,
                "database": dsn,
                "bus": bus.settings("api").model_dump(mode="json"),
                "console_dir": str(DIST),
                "anonymous": anonymous,
            }
        ),
        "utf-8",
    )
    api = Api(settings, f"http://127.0.0.1:{port}", folder / f"api-{port}.log")
    api.start()
    try:
        yield api
    finally:
        api.kill()


@dataclass(frozen=True, slots=True)
class World:
    """A database with a plant in it that lives."""

    dsn: str
    plant: Plant
    token: str


@pytest.fixture(scope="module")
def world(postgres: str, template: str) -> Iterator[World]:
    """One plant for all browser tests, with a token that may write."""
    name = f"muster_browser_{secrets.token_hex(4)}"
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute(f'create database "{name}" template "{template}"')

        def dsn(role: str) -> str:
            return make_conninfo(postgres, dbname=name, user=role, password=PASSWORDS[role])

        owned = make_conninfo(postgres, dbname=name)
        plant = build(owned, dsn("muster_ingest"))
        token = "mst_" + secrets.token_urlsafe(24)
        with psycopg.connect(owned, autocommit=True) as book:
            book.execute(
                "insert into api_token (label, sha256, may_write) values ('浏览器', sha256(%s), true)",
                (token.encode(),),
            )
        with Heartbeat(plant):
            yield World(dsn("muster_api"), plant, token)
        owner.execute(f'drop database if exists "{name}" with (force)')


@pytest.fixture(scope="module")
def site(world: World, nats_server: Bus, served: Path) -> Iterator[Site]:
    """The console as an operator's screen sees it: no token, nothing to write."""
    if not (DIST / "index.html").exists():
        pytest.skip("the console is not built (./run setup builds it)")
    with serving(served, world.dsn, nats_server, "operator") as api:
        yield Site(api, world.plant, served)


@pytest.fixture(scope="module")
def closed_site(world: World, nats_server: Bus, served: Path) -> Iterator[Site]:
    """The console where nobody sees anything without a token."""
    if not (DIST / "index.html").exists():
        pytest.skip("the console is not built (./run setup builds it)")
    with serving(served, world.dsn, nats_server, "none") as api:
        yield Site(api, world.plant, served, {"writer": world.token})


@dataclass
class Watched:
    """A page whose every complaint and every request is kept."""

    page: Page
    complaints: list[str]
    requests: list[str]


Open = Callable[..., Watched]


@pytest.fixture
def look(chromium: Browser) -> Iterator[Open]:
    """Open an address in a fresh browser profile of the given size and language."""
    contexts: list[BrowserContext] = []

    def opened(url: str, width: int = 1920, height: int = 1080, touch: bool = False) -> Watched:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, has_touch=touch, timezone_id="Asia/Shanghai"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        watched = Watched(page, [], [])
        # no gateway runs here, so asking one for diagnostics is answered 503, as it should be
        page.on(
            "console",
            lambda said: (
                said.type == "error"
                and "status of 503" not in said.text
                and watched.complaints.append(said.text)
            ),
        )
        page.on("pageerror", lambda error: watched.complaints.append(str(error)))
        page.on("request", lambda request: watched.requests.append(request.url))
        page.goto(url)
        return watched

    yield opened
    pictures = os.environ.get("MUSTER_PICTURES")
    for number, context in enumerate(contexts):
        if pictures and context.pages:
            context.pages[0].screenshot(path=Path(pictures) / f"{number}.png")
        context.close()
