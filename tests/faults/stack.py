"""A whole installation for a test: the launcher as users start it, with equipment that counts its own answers."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import yaml

from deploy.child import Command, running
from deploy.doctor import examine
from deploy.layout import Layout
from deploy.web import fetch
from simulators import pollcounter
from simulators.modbus.ports import free_ports
from tests.faults.answers import Answer, Gap

MUSTER = [sys.executable, "-c", "from deploy.cli import main; main()"]


class Stack:
    """One running installation and its counting equipment."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.port = port
        self.log = root / "answers.log"

    def muster(self, *arguments: str) -> dict[str, Any]:
        """Run a command with `--json` and return what it printed."""
        done = subprocess.run(
            [*MUSTER, *arguments, "--data-dir", str(self.root / "data"), "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def ready(self) -> bool:
        """Tell whether the launcher calls itself ready."""
        state = json.loads((self.root / "data" / "run" / "state.json").read_text("utf-8"))
        return bool(state["ready"])

    def pid(self, name: str) -> int:
        """Return the process id of a part."""
        state = json.loads((self.root / "data" / "run" / "state.json").read_text("utf-8"))
        pid: int = state["processes"][name]["pid"]
        return pid

    def kill(self, name: str) -> None:
        """End a part as a power cut would."""
        try:
            os.kill(self.pid(name), signal.SIGKILL)
        except ProcessLookupError:
            return

    def query(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Ask the database as its owner."""
        ways = json.loads((self.root / "data" / "run" / "connections.json").read_text("utf-8"))
        with psycopg.connect(ways["owner"]) as session:
            return session.execute(sql, arguments).fetchall()

    def connected(self) -> int:
        """Return how many devices the newest transitions call connected."""
        (row,) = self.query(
            "select count(*) from (select distinct on (device) state from presence"
            " order by device, valid_from desc, recorded_at desc) newest where state = 4"
        )
        return int(row[0])

    def count(self, **moments: str) -> dict[str, Any]:
        """Return the count of devices as the API gives it, now or at the named moments."""
        found = fetch(f"http://127.0.0.1:{self.port}/api/v1/counts/devices?{urlencode(moments)}")
        assert found is not None, "the API does not answer"
        return found

    def retire_all(self) -> None:
        """Retire every device, so that polling ends."""
        ways = json.loads((self.root / "data" / "run" / "connections.json").read_text("utf-8"))
        with psycopg.connect(ways["owner"]) as session:
            session.execute("update device set retired_at = now()")

    def watched_until_us(self) -> int:
        """Return up to which instant everything that the gateway watched is stored, in every partition."""
        (row,) = self.query(
            "select (extract(epoch from min(watched_until)) * 1e6)::bigint from gateway_position"
        )
        return int(row[0])

    def stored(self) -> list[Answer]:
        """Return every counted answer in the database, in the order of time per device."""
        rows = self.query(
            "select right(device.code, 4)::integer, value[1]::bigint, (extract(epoch from time) * 1e6)::bigint"
            " from scan join device on device.id = scan.device where value[1] is not null order by device, time"
        )
        return [Answer(*row) for row in rows]

    def given(self) -> list[Answer]:
        """Return every answer that the equipment gave."""
        return [Answer(*entry) for entry in pollcounter.read_log(self.log)]

    def gaps(self) -> list[Gap]:
        """Return every listed gap."""
        rows = self.query(
            "select right(device.code, 4)::integer, (extract(epoch from from_time) * 1e6)::bigint,"
            " (extract(epoch from to_time) * 1e6)::bigint from gap left join device on device.id = gap.device"
        )
        return [Gap(*row) for row in rows]


def wait_until(true: Callable[[], bool], what: str, within_s: float = 90.0) -> None:
    """Wait for something that must come; the limit only keeps a broken run from standing for ever."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            if true():
                return
        except (AssertionError, psycopg.Error, FileNotFoundError, json.JSONDecodeError, KeyError):
            pass
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: did not come within {within_s:g} s")
        time.sleep(0.2)


@contextmanager
def installation(root: Path, port: int, processes: int = 1) -> Iterator[Stack]:
    """Bring up an installation with an empty device book; `processes` of the one gateway, `demo-1`."""
    whole = Stack(root, port)
    config = root / "site.toml"
    config.write_text(
        f'api = {{port = {port}, anonymous = "operator"}}\n'
        f'gateways = [{{code = "demo-1", processes = {processes}}}]\n',
        "utf-8",
    )
    demo = [*MUSTER, "up", "--config", str(config), "--data-dir", str(root / "data")]
    with running(Command("demo", demo, root / "demo.out", grace_s=60)) as launcher:
        try:
            wait_until(whole.ready, "the installation")
            yield whole
        except BaseException:
            sys.stderr.write((root / "demo.out").read_text("utf-8", "replace")[-4000:])
            raise
        assert launcher.poll() is None


@contextmanager
def stack(devices: int, port: int, interval_s: float = 0.5, processes: int = 1) -> Iterator[Stack]:
    """Bring up an installation that reads `devices` counting devices, all connected when the block begins.

    processes: of the one gateway, `demo-1`.
    """
    with reachable_folder() as root:
        ports = free_ports(pollcounter.endpoint_count(devices))
        book = root / "book.yaml"
        document = pollcounter.book(devices, "127.0.0.1", ports, "demo-1", interval_s)
        book.write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
        equipment = (
            "import asyncio, sys; from pathlib import Path; from simulators import pollcounter;"
            "from simulators.serve import serve;"
            f"asyncio.run(serve(pollcounter.endpoints({devices}, '127.0.0.1', {ports}, Path(sys.argv[1]))))"
        )
        command = [sys.executable, "-c", equipment, str(root / "answers.log")]
        with (
            running(Command("equipment", command, root / "equipment.out")),
            installation(root, port, processes) as whole,
        ):
            report = whole.muster("import", str(book))
            assert report["applied"], report
            wait_until(lambda: whole.connected() == devices, "every device connected")
            yield whole


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """Make a folder that an unprivileged server can reach."""
    with tempfile.TemporaryDirectory(prefix="muster-stack-") as folder:
        root = Path(folder)
        root.chmod(0o711)
        yield root


def drained(whole: Stack) -> bool:
    """Tell whether nothing waits on the bus to be stored."""
    findings = asyncio.run(examine(Layout(whole.root / "data")))
    bus = next((finding for finding in findings if finding.about == "bus"), None)
    return bus is not None and bus.facts.get("waiting") == 0
