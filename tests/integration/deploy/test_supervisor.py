"""Children on a real machine: restarted when they crash, ended in order, never outliving their parent."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from psutil import pid_exists as alive

from deploy.child import Child, Command, keep_small, last_words, start
from deploy.supervisor import Crash, Supervisor
from muster.errors import ConfigError

SLEEP = [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(600)"]


def command(folder: Path, name: str, argv: list[str], grace_s: float = 5.0) -> Command:
    return Command(name, argv, folder / f"{name}.log", grace_s=grace_s)


async def gone(pid: int) -> None:
    while alive(pid):
        await asyncio.sleep(0.02)


async def test_a_killed_child_starts_again_and_the_crash_is_told(tmp_path: Path) -> None:
    crashes: list[Crash] = []
    restarted = asyncio.Event()

    def changed() -> None:
        if supervisor.kept and supervisor.kept["a"].restarts:
            restarted.set()

    supervisor = Supervisor(crashes.append, changed)
    await supervisor.add(command(tmp_path, "a", SLEEP))
    first = supervisor.kept["a"].child.pid
    os.kill(first, signal.SIGKILL)
    await restarted.wait()
    assert supervisor.kept["a"].child.pid != first
    assert [(crash.name, crash.returncode) for crash in crashes] == [("a", -signal.SIGKILL)]
    await supervisor.stop()
    assert not alive(supervisor.kept["a"].child.pid)


async def test_a_child_that_keeps_crashing_is_tried_at_growing_intervals_with_its_last_words(
    tmp_path: Path,
) -> None:
    crashes: list[Crash] = []
    enough = asyncio.Event()

    def crashed(crash: Crash) -> None:
        crashes.append(crash)
        if len(crashes) == 3:
            enough.set()

    supervisor = Supervisor(crashed, lambda: None)
    await supervisor.add(command(tmp_path, "b", [sys.executable, "-c", "raise SystemExit('no such plant')"]))
    await enough.wait()
    await supervisor.stop()
    waits = [crash.again_in_s for crash in crashes]
    assert waits == sorted(set(waits))
    assert "no such plant" in crashes[0].last_words


async def test_children_end_in_the_reverse_of_their_order(tmp_path: Path) -> None:
    record = tmp_path / "ends"
    script = (
        "import signal, sys, time\n"
        f"def end(*_):\n    open({str(record)!r}, 'a').write(sys.argv[1]); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('begun', flush=True)\ntime.sleep(600)"
    )
    supervisor = Supervisor(lambda crash: None, lambda: None)
    for name in "abc":
        await supervisor.add(command(tmp_path, name, [sys.executable, "-c", script, name]))
    while not all("begun" in last_words(tmp_path / f"{name}.log") for name in "abc"):
        await asyncio.sleep(0.02)
    await supervisor.stop()
    assert record.read_text() == "cba"


async def test_a_child_that_does_not_listen_is_ended_by_force(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('begun', flush=True); time.sleep(600)"
    )
    child = await start(command(tmp_path, "d", [sys.executable, "-c", deaf], grace_s=0.2))
    while "begun" not in last_words(tmp_path / "d.log"):
        await asyncio.sleep(0.02)
    await child.stop()
    assert child.returncode == -signal.SIGKILL


async def test_a_program_that_is_not_there_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="e: "):
        await start(command(tmp_path, "e", [str(tmp_path / "absent")]))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
async def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom deploy.child import Command, start\n"
        "async def main():\n"
        f"    child = await start(Command('c', {SLEEP!r}, Path({str(tmp_path / 'c.log')!r})))\n"
        "    print(child.pid, flush=True)\n    await asyncio.sleep(600)\n"
        "asyncio.run(main())"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    await asyncio.wait_for(gone(pid), 10)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


async def test_a_program_that_cannot_be_started_again_for_a_while_is_tried_until_it_can(
    tmp_path: Path,
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'import time; time.sleep(600)'\n", "utf-8")
    program.chmod(0o755)
    crashes: list[Crash] = []
    again = asyncio.Event()

    def crashed(crash: Crash) -> None:
        crashes.append(crash)
        if len(crashes) == 2:
            (tmp_path / "away").rename(program)

    def changed() -> None:
        if supervisor.kept and supervisor.kept["f"].restarts:
            again.set()

    supervisor = Supervisor(crashed, changed)
    await supervisor.add(command(tmp_path, "f", [str(program)]))
    program.rename(tmp_path / "away")
    os.kill(supervisor.kept["f"].child.pid, signal.SIGKILL)
    await asyncio.wait_for(again.wait(), 10)
    assert "f: " in crashes[1].last_words
    await supervisor.stop()
    assert not alive(supervisor.kept["f"].child.pid)


async def test_a_stop_that_comes_while_a_child_starts_again_leaves_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(given: Command) -> Child:
        child = await start(given)
        if supervisor.kept:
            starting.set()
            await go_on.wait()
        return child

    supervisor = Supervisor(lambda crash: None, lambda: None)
    monkeypatch.setattr("deploy.supervisor.start", slowly)
    await supervisor.add(command(tmp_path, "g", SLEEP))
    os.kill(supervisor.kept["g"].child.pid, signal.SIGKILL)
    await starting.wait()
    stopping = asyncio.create_task(supervisor.stop())
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.wait_for(stopping, 10)
    assert supervisor.kept["g"].child.returncode is not None


async def test_a_large_log_is_moved_aside_while_its_child_writes_on(tmp_path: Path) -> None:
    script = "import sys, time\nprint('first ' * 100, flush=True)\nsys.stdin.readline()\nprint('second', flush=True)"
    log = tmp_path / "h.log"
    with (
        log.open("ab") as file,
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=file) as child,
    ):
        while "first" not in last_words(log):
            await asyncio.sleep(0.02)
        keep_small(log, limit_bytes=100)
        child.communicate(b"\n")
    assert log.read_bytes() == b"second\n"
    assert (tmp_path / "h.1.log").read_text("utf-8").startswith("first first")
    keep_small(log, limit_bytes=100)
    assert log.read_bytes() == b"second\n"
