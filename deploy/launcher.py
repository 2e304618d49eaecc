"""Brings an installation up step by step, keeps it up in the foreground, and takes it down in good order."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection
from pydantic import BaseModel

from deploy import equipment
from deploy.child import Command
from deploy.keeper import Settings as KeeperSettings
from deploy.layout import Layout
from deploy.progress import both, step, tell
from deploy.protocols import protocol_infos
from deploy.servers import Dsns, Road, bring_up_bus, bring_up_database
from deploy.site import Site
from deploy.supervisor import Crash, Supervisor
from deploy.web import fetch
from gateway.settings import Settings as GatewaySettings
from muster.errors import ConfigError
from services import ledger
from services.ledger.edit import add_gateway
from services.ledger.members import set_members
from simulators.modbus.ports import free_ports
from store.connection import connected

CONSOLE = Path(__file__).parents[1] / "dashboards" / "console" / "dist"
ACTOR = "launcher"


class Launcher:
    """One installation on this machine."""

    def __init__(self, site: Site, layout: Layout) -> None:
        self._site = site
        self._layout = layout
        self._supervisor = Supervisor(self._say_crash, self._write_state)
        self._monitors: dict[str, int] = {}
        self._ready = False
        self._shared: set[str] = set()

    @property
    def url(self) -> str:
        """Where people find the console."""
        return f"http://{self._site.api.host}:{self._site.api.port}/"

    async def run(self, stop: asyncio.Event, *, as_json: bool) -> None:
        """Bring everything up, stay until `stop`, take everything down.

        Raises:
            ConfigError: something is wrong that trying again cannot help.
        """
        self._layout.make()
        with self._layout.held():
            try:
                coming_up = asyncio.create_task(self._bring_up(as_json), name="bring up")
                stopping = asyncio.create_task(stop.wait(), name="stop")
                await asyncio.wait({coming_up, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if coming_up.done():
                    coming_up.result()
                    await stopping
                coming_up.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await coming_up
            finally:
                tell("launch.stopping")
                self._ready = False
                await self._supervisor.stop()
                self._layout.state_file.unlink(missing_ok=True)
                tell("launch.stopped", folder=str(self._layout.root))

    async def _bring_up(self, as_json: bool) -> None:
        site, layout = self._site, self._layout
        _require_free(site.api.host, site.api.port)
        begin = time.monotonic()
        ports = free_ports(5 + site.ingest.workers + sum(gateway.processes for gateway in site.gateways))
        dsns = await bring_up_database(site, layout, self._supervisor, ports.pop())
        fleet = None
        if site.simulators is not None:
            broker = layout.kept_port("mqtt", site.mqtt.port) if site.bus is None else None
            fleet = equipment.plan(site.simulators, layout, site.gateways[0].code, broker)
        with step("launch.book"):
            numbers = await self._register(dsns, fleet)
        road = await bring_up_bus(site, layout, self._supervisor, ports.pop(), list(numbers.values()))
        self._write_connections(dsns, road)
        if fleet is not None:
            with step("launch.simulators", count=fleet.devices):
                await self._start("simulators", "simulators", fleet.settings, ports.pop())
        with step("launch.processes"):
            await self._start_processes(dsns, road, numbers, ports)
        with step("launch.answering"):
            await self._answering()
        self._ready = True
        self._write_state()
        tell("launch.console", url=self.url)
        if as_json:
            print(json.dumps({"console": self.url, "data_dir": str(layout.root)}), flush=True)
        if fleet is not None:
            await self._tell_count(fleet.devices, begin)

    async def _register(self, dsns: Dsns, fleet: equipment.Fleet | None) -> dict[str, int]:
        """Enrol this launcher's gateways and register the fleet; return the gateways' numbers by code."""
        async with connected(dsns.api, ACTOR) as session:
            for gateway in self._site.gateways:
                gone = set(self._layout.more_processes(gateway.code)) - set(gateway.codes)
                for code in gateway.codes:
                    report = await add_gateway(
                        session,
                        code=code,
                        name=gateway.name,
                        public_key=self._layout.gateway_key(code),
                        actor=ACTOR,
                        scope=None,
                    )
                    _require_sound(report)
                if await set_members(session, gateway.code, gateway.codes[1:], gone):
                    self._shared.add(gateway.code)
            if fleet is not None:
                _require_sound(
                    await ledger.apply(
                        session, fleet.book, protocol_infos(), dry_run=False, actor=ACTOR, scope=None
                    )
                )
        async with connected(dsns.owner, ACTOR) as session:
            return await _numbers(
                session, [code for gateway in self._site.gateways for code in gateway.codes]
            )

    async def _start_processes(
        self, dsns: Dsns, road: Road, numbers: Mapping[str, int], ports: list[int]
    ) -> None:
        site, layout = self._site, self._layout
        for worker in range(1, site.ingest.workers + 1):
            await self._start(
                "ingest",
                f"ingest-{worker}",
                {
                    "worker": f"ingest-{worker}",
                    "database": dsns.ingest,
                    "bus": road.settings("ingest").model_dump(mode="json"),
                    "stream_limit_bytes": site.ingest.stream_limit_bytes,
                },
                ports.pop(),
            )
        await self._start(
            "keeper",
            "keeper",
            KeeperSettings(
                owner=dsns.owner,
                database=dsns.api,
                bus=road.settings("keeper"),
                disk_budget_bytes=site.storage.disk_budget_bytes,
                partition_minutes=site.storage.partition_minutes,
            ),
            ports.pop(),
        )
        if "simulators" in self._monitors:
            await _is_well(f"http://127.0.0.1:{self._monitors['simulators']}/", 20.0)  # or go on without them
        for gateway in site.gateways:
            for code in gateway.codes:
                number = numbers[code]
                layout.outbox(code).mkdir(exist_ok=True, mode=0o700)
                await self._start(
                    "gateway",
                    f"gateway-{code}",
                    GatewaySettings(
                        gateway=number,
                        name=code,
                        bus=road.settings(f"gateway-{number}"),
                        key_file=layout.secret_file(f"gateway-{code}.pem"),
                        outbox_dir=layout.outbox(code),
                        rooms_dir=layout.rooms(code),
                        shared=gateway.code in self._shared,
                        outbox_limit_bytes=gateway.outbox_limit_bytes,
                    ),
                    ports.pop(),
                )
        await self._start(
            "api",
            "api",
            {
                "host": site.api.host,
                "port": site.api.port,
                "database": dsns.api,
                "bus": road.settings("api").model_dump(mode="json"),
                "console_dir": str(CONSOLE) if CONSOLE.is_dir() else None,
                "anonymous": site.api.anonymous,
            },
        )

    async def _start(
        self, process: str, name: str, settings: BaseModel | dict[str, Any], monitor: int | None = None
    ) -> None:
        given = settings.model_dump(mode="json") if isinstance(settings, BaseModel) else settings
        if monitor is not None:
            given = {**given, "monitor_port": monitor}
            self._monitors[name] = monitor
        file = self._layout.run / f"{name}.json"
        self._layout.write(file, json.dumps(given, ensure_ascii=False, indent=2))
        await self._supervisor.add(
            Command(
                name,
                [sys.executable, "-P", "-m", "deploy.process", process, "--settings", str(file)],
                log=self._layout.logs / f"{name}.log",
                environment={"PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"},
            )
        )

    async def _answering(self) -> None:
        if not await _is_well(self.url, 60.0):
            raise ConfigError(f"api: no answer; see {self._layout.logs / 'api.log'}")

    async def _tell_count(self, expected: int, begin: float, timeout_s: float = 90.0) -> None:
        """Say the count once every simulated device is in it, or what it is when that takes too long."""
        deadline = time.monotonic() + timeout_s
        while True:
            counts = await asyncio.to_thread(fetch, f"{self.url}api/v1/counts/devices") or {}
            rehearsal = counts.get("rehearsal", {}).get("connected", 0)
            official = counts.get("official", {}).get("connected", 0)
            seconds = round(time.monotonic() - begin)
            if rehearsal >= expected:
                tell("launch.counted", rehearsal=rehearsal, official=official, seconds=seconds)
                return
            if time.monotonic() > deadline:
                tell("launch.not-counted", rehearsal=rehearsal, expected=expected, seconds=seconds)
                return
            await asyncio.sleep(1)

    def _write_connections(self, dsns: Dsns, road: Road) -> None:
        """Leave for the command line how the running database and bus are reached."""
        connections = {
            "owner": dsns.owner,
            "ingest": dsns.ingest,
            "api": dsns.api,
            "bus": road.settings("launcher").model_dump(mode="json"),
            "disk_budget_bytes": self._site.storage.disk_budget_bytes,
        }
        self._layout.write(self._layout.connections_file, json.dumps(connections, indent=2))

    def _say_crash(self, crash: Crash) -> None:
        how = f"signal {-crash.returncode}" if crash.returncode < 0 else f"exit {crash.returncode}"
        words = crash.last_words.splitlines()[-1][:300] if crash.last_words else ""
        tell("launch.crashed", name=crash.name, how=how, seconds=crash.again_in_s, words=words)

    def _write_state(self) -> None:
        processes = {
            name: {
                "pid": kept.child.pid,
                "running": kept.child.returncode is None,
                "since": kept.since,
                "restarts": kept.restarts,
                "monitor_port": self._monitors.get(name),
            }
            for name, kept in self._supervisor.kept.items()
        }
        state = {"launcher": os.getpid(), "ready": self._ready, "console": self.url, "processes": processes}
        self._layout.write(self._layout.state_file, json.dumps(state, indent=2))


async def _is_well(url: str, within_s: float) -> bool:
    """Wait until the process at `url` says that it is well; tell whether it did in time."""
    deadline = time.monotonic() + within_s
    while ((await asyncio.to_thread(fetch, f"{url}healthz")) or {}).get("status") != "ok":
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.2)
    return True


async def _numbers(session: AsyncConnection[Any], codes: list[str]) -> dict[str, int]:
    found = await session.execute("select code, id from gateway where code = any(%s)", (codes,))
    return dict(await found.fetchall())


def _require_sound(report: ledger.Report) -> None:
    if not report.ok:
        raise ConfigError("\n".join(problem.say() for problem in report.errors[:20]))


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(both("launch.port-taken", port=port)) from error


def launch(site: Site, layout: Layout, *, as_json: bool) -> None:
    """Run an installation in the foreground until Ctrl-C or SIGTERM.

    Raises:
        ConfigError: something is wrong that trying again cannot help.
    """

    async def work() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)
        await Launcher(site, layout).run(stop, as_json=as_json)

    asyncio.run(work())
