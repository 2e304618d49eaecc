"""`./run bench`: every figure beside a limit measured in the same run, as a table on stderr and JSON on stdout."""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    day,
    demo,
    growth,
    ingest,
    kills,
    modbus,
    mqtt,
    opcua,
    plot,
    queries,
    sparkplug,
    thingsboard,
    wall,
    workers,
)
from benchmarks.headline import headline, table
from benchmarks.telegraf import Telegraf

RESULTS = Path(__file__).parent / "results"
HISTORY = "history.jsonl"
NAMES = (
    "ingest",
    "workers",
    "modbus",
    "opcua",
    "mqtt",
    "sparkplug",
    "queries",
    "wall",
    "demo",
    "disk",
    "kills",
    "thingsboard",
    "growth",
)
NOT_QUICK = ("workers", "wall", "demo", "disk", "kills")


def main() -> None:
    """Run the benchmarks that were asked for."""
    given = _arguments()
    if given.plot is not None:
        given.plot.write_text(plot.svg(RESULTS / HISTORY), "utf-8")
        return
    suites = _suites(given)
    if given.only is not None:
        chosen = [given.only]
    else:
        chosen = [name for name in NAMES if name != "growth" and not (given.quick and name in NOT_QUICK)]
    found: dict[str, Any] = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
    }
    failed: list[str] = []
    for name in chosen:
        if name not in suites:
            continue
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            found[name] = suites[name]()
        except RuntimeError as error:
            failed.append(name)
            print(f"{name}: {error}", file=sys.stderr, flush=True)
    found |= headline(found)
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / HISTORY).open("a") as history:
        history.write(json.dumps(found) + "\n")
    if not given.json:
        for line in table(found):
            print(line, file=sys.stderr)
    print(json.dumps(found))
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="shorter: one shape each, no second worker, no wall, no demo, no disk, no kills",
    )
    parser.add_argument("--json", action="store_true", help="no table")
    parser.add_argument("--only", choices=NAMES, help="one of them")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="measure nothing; draw the history")
    parser.add_argument(
        "--telegraf", type=Path, metavar="PROGRAM", help="a Telegraf beside ours in the same run"
    )
    parser.add_argument(
        "--thingsboard-gateway",
        type=Path,
        metavar="PYTHON",
        help="a Python in which thingsboard-gateway is installed, beside ours in the same run",
    )
    parser.add_argument(
        "--devices", type=int, nargs="+", metavar="N", help="growth: only these points; kills: with so many"
    )
    parser.add_argument("--minutes", type=float, help="growth: of each point")
    parser.add_argument("--curve", choices=growth.CURVES, help="growth: only this one")
    parser.add_argument(
        "--housekeeping",
        action="store_true",
        help="growth: the ingest curve with the keeper's roll-ups, too",
    )
    return parser.parse_args()


def _suites(given: argparse.Namespace) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return what can be measured as asked for, by name."""
    short = given.quick and given.only is None
    repeats, seconds = (1, 10) if given.quick else (5, 20)
    telegraf = _peer("telegraf", given.telegraf)
    peer = None if telegraf is None else Telegraf(telegraf)
    thingsboard_python = _peer("thingsboard-gateway", given.thingsboard_gateway)
    lasting = seconds if given.minutes is None else round(60 * given.minutes)
    sizes = growth.SIZES if given.devices is None else tuple(given.devices)
    suites: dict[str, Callable[[], dict[str, Any]]] = {
        "ingest": lambda: ingest.measure(
            repeats + (1 if short else 2) * given.quick, 120 if given.quick else 240
        ),
        "workers": lambda: workers.measure(1 if given.quick else 5, 400),
        "modbus": lambda: modbus.measure(
            repeats, seconds, modbus.SHAPES[:1] if short else modbus.SHAPES, peer
        ),
        "opcua": lambda: opcua.measure(
            repeats, seconds, ("1x1000",) if short else tuple(opcua.SESSIONS), peer
        ),
        "mqtt": lambda: mqtt.measure(repeats, seconds, peer),
        "sparkplug": lambda: sparkplug.measure(repeats, seconds),
        "queries": lambda: queries.measure(5, (520,) if given.quick else (520, 10_000)),
        "wall": lambda: wall.measure(1 if given.quick else 3, seconds),
        "demo": lambda: demo.measure(30 if given.quick else 120),
        "disk": lambda: day.measure(200 if given.quick else 1000),
        "kills": lambda: kills.measure(4 if given.quick else 12, (given.devices or [500])[0]),
        "growth": lambda: growth.measure(
            lasting, sizes, given.curve, given.devices is None, given.housekeeping
        ),
    }
    if thingsboard_python is not None:
        suites["thingsboard"] = lambda: thingsboard.measure(thingsboard_python, 3 * seconds)
    return suites


def _peer(name: str, place: Path | None) -> Path | None:
    """Return where a peer is; says in one line when it is asked for and not there."""
    if place is None or place.is_file():
        return place
    print(f"{name}: nothing at {place}, so it is left out", file=sys.stderr, flush=True)
    return None


if __name__ == "__main__":
    main()
