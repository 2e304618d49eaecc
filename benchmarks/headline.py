"""The few figures of a run that are watched from run to run, and the table of all."""

from typing import Any


def headline(found: dict[str, Any]) -> dict[str, Any]:
    """Return the few figures that are watched from run to run."""
    short: dict[str, Any] = {}
    per_core: dict[str, float] = {}
    if "ingest" in found:
        short["ingest_ratio"] = found["ingest"]["readings_per_s"]["ratio"]
        short["ingest_cpu_us_per_reading"] = found["ingest"]["ingest_cpu_us_per_reading"]
        short["bytes_per_reading"] = found["ingest"]["bytes_per_reading"]
    if "workers" in found:
        short["ingest_two_workers_ratio"] = found["workers"]["readings_per_s"]["ratio"]
        short["ingest_two_workers_cpu_ratio"] = found["workers"]["readings_per_cpu_s"]["ratio"]
        short["ingest_two_workers_most"] = found["workers"]["most_possible"]
    if "disk" in found:
        short |= {f"demo_{name}": value for name, value in found["disk"].items() if name.startswith("bytes_")}
    if "modbus" in found:
        shape = found["modbus"]["500x16"]
        short["modbus_us_per_poll"] = shape["us_per_poll"]["gateway"]
        short["modbus_ratio"] = shape["to_bare"]["ratio"]
        short["modbus_ratio_to_pymodbus"] = shape["to_pymodbus"]["ratio"]
        short |= _to_telegraf("modbus", found["modbus"], "500x16")
        per_core["modbus"] = 1e6 / short["modbus_us_per_poll"]
    if "opcua" in found:
        short["opcua_us_per_change"] = found["opcua"]["1x1000"]["us_per_change"]
        short["opcua_ratio"] = found["opcua"]["1x1000"]["to_bare"]["ratio"]
        short |= _to_telegraf("opcua", found["opcua"], "1x1000")
        for name, shape in found["opcua"].items():
            per_core[f"opcua {name}"] = 1e5 / shape["us_per_change"]
    if "mqtt" in found:
        fast = found["mqtt"]["5000/s"]
        short["mqtt_us_per_message"] = fast["us_per_message"]
        short["mqtt_ratio"] = fast["to_bare"]["ratio"]
        short["mqtt_ratio_500"] = found["mqtt"]["500/s"]["to_bare"]["ratio"]
        short["mqtt_missed_share"] = fast["missed_share"]
        short |= _to_telegraf("mqtt", found["mqtt"], "5000/s")
        per_core["mqtt"] = 1e6 / found["mqtt"]["500/s"]["us_per_message"]
    if "sparkplug" in found:
        short["sparkplug_us_per_message"] = found["sparkplug"]["us_per_message"]
        short["sparkplug_ratio"] = found["sparkplug"]["to_bare"]["ratio"]
        per_core["sparkplug"] = 1e6 / short["sparkplug_us_per_message"]
    if "thingsboard" in found:
        short["modbus_cpu_ratio_to_thingsboard"] = found["thingsboard"]["cpu_ratio"]
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
    if "kills" in found:
        short["lost_ms_per_kill"] = found["kills"]["lost_ms_per_kill"]
    if "growth" in found:
        short["growth_kept_up"] = {
            name: max(
                (int(at) for at, point in curve.items() if at.isdigit() and point["kept_up"]), default=0
            )
            for name, curve in found["growth"].items()
        }
    if per_core:
        short["devices_per_core"] = per_core
    return short


def _to_telegraf(protocol: str, shapes: dict[str, Any], usual: str) -> dict[str, float]:
    """Return the ratios to Telegraf: the usual shape's under the protocol's name, others' with theirs behind it."""
    return {
        f"{protocol}_ratio_to_telegraf" + ("" if name == usual else f"_{name}"): shape["to_telegraf"]["ratio"]
        for name, shape in shapes.items()
        if "to_telegraf" in shape
    }


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
