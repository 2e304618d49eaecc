"""`./run bench`: every figure beside a limit measured in the same run, as a table on stderr and JSON on stdout."""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import demo, ingest, modbus, mqtt, opcua, plot, queries, wall

RESULTS = Path(__file__).parent / "results"
HISTORY = "history.jsonl"
NAMES = ("ingest", "modbus", "opcua", "mqtt", "queries", "wall", "demo")


def main() -> None:
    """Run the benchmarks that were asked for."""
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="shorter: one shape each, no demo",
    )
    parser.add_argument("--json", action="store_true", help="no table")
    parser.add_argument("--only", choices=NAMES, help="one of them")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="measure nothing; draw the history")
    given = parser.parse_args()
    if given.plot is not None:
        given.plot.write_text(plot.svg(RESULTS / HISTORY), "utf-8")
        return
    short = given.quick and given.only is None
    repeats, seconds = (1, 10) if given.quick else (5, 20)
    suites: dict[str, Callable[[], dict[str, Any]]] = {
        "ingest": lambda: ingest.measure(
            repeats + (1 if short else 2) * given.quick, 60 if given.quick else 120
        ),
        "modbus": lambda: modbus.measure(repeats, seconds, modbus.SHAPES[:1] if short else modbus.SHAPES),
        "opcua": lambda: opcua.measure(repeats, seconds, ("1x1000",) if short else tuple(opcua.SESSIONS)),
        "mqtt": lambda: mqtt.measure(repeats, seconds),
        "queries": lambda: queries.measure(5, (520,) if given.quick else (520, 10_000)),
        "wall": lambda: wall.measure(1 if given.quick else 3, seconds),
        "demo": lambda: demo.measure(30 if given.quick else 120),
    }
    found: dict[str, Any] = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
    }
    failed: list[str] = []
    for name, measure in suites.items():
        if given.only == name or (given.only is None and not (short and name == "demo")):
            print(f"{name} …", file=sys.stderr, flush=True)
            try:
                found[name] = measure()
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


def headline(found: dict[str, Any]) -> dict[str, Any]:
    """Return the few figures that are watched from run to run."""
    short: dict[str, Any] = {}
    if "ingest" in found:
        short["ingest_ratio"] = found["ingest"]["readings_per_s"]["ratio"]
        short["ingest_cpu_us_per_reading"] = found["ingest"]["ingest_cpu_us_per_reading"]
        short["bytes_per_reading"] = found["ingest"]["bytes_per_reading"]
    if "modbus" in found:
        shape = found["modbus"]["500x16"]
        short["modbus_us_per_poll"] = shape["us_per_poll"]["gateway"]
        short["modbus_ratio"] = shape["to_bare"]["ratio"]
        short["modbus_ratio_to_pymodbus"] = shape["to_pymodbus"]["ratio"]
    if "opcua" in found:
        short["opcua_us_per_change"] = found["opcua"]["1x1000"]["us_per_change"]
        short["opcua_ratio"] = found["opcua"]["1x1000"]["to_bare"]["ratio"]
    if "mqtt" in found:
        fast = found["mqtt"]["5000/s"]
        short["mqtt_us_per_message"] = fast["us_per_message"]
        short["mqtt_ratio"] = fast["to_bare"]["ratio"]
        short["mqtt_ratio_500"] = found["mqtt"]["500/s"]["to_bare"]["ratio"]
        short["mqtt_missed_share"] = fast["missed_share"]
    if "queries" in found:
        usual = found["queries"]["520 devices"]
        short["latest_5000_ms"] = usual["latest_5000"]["ms"]
        short["month_by_hour_ms"] = usual["month_by_hour"]["ms"]
        short["count_past_ms"] = usual["count_past"]["ms"]
        if "10000 devices" in found["queries"]:
            short["count_past_10000_ms"] = found["queries"]["10000 devices"]["count_past"]["ms"]
    if "wall" in found:
        short["wall_200_core"] = found["wall"]["core_more"]
        short["wall_200_p99_ms"] = found["wall"]["delay_ms_200"]["p99"]
    return short


def table(found: dict[str, Any], indent: str = "") -> list[str]:
    """Return the figures as lines of a table, nested names indented."""
    lines = []
    for name, value in found.items():
        if isinstance(value, dict):
            lines.append(f"{indent}{name}")
            lines += table(value, indent + "  ")
        elif isinstance(value, float):
            lines.append(f"{indent}{name:<34} {value:,.3f}")
        else:
            lines.append(f"{indent}{name:<34} {value}")
    return lines


if __name__ == "__main__":
    main()
