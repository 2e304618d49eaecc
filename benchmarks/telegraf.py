"""The peer of the gateway: a Telegraf binary beside ours in the same run, its readings thrown away.

How many metrics it took is what it says of itself (`inputs.internal`), second by second; its CPU is that of /proc
between the first and the last of those counts. It keeps nothing: no disk, no signature, no acknowledgement.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.processes import cpu_s, memory_mb
from deploy.child import Command, running

_SAMPLE_S = 0.05
_COUNTS = "internal_gather"
_AGENT = """
[agent]
  interval = "1s"
  flush_interval = "1s"
  precision = "1ms"
  metric_buffer_limit = 100000
  omit_hostname = true
  quiet = true
[[outputs.discard]]
  namedrop = ["internal_*"]
[[outputs.file]]
  namepass = ["{counts}"]
  files = ["{file}"]
  data_format = "json"
  json_timestamp_units = "1ms"
[[inputs.internal]]
  namepass = ["{counts}"]
  collection_offset = "500ms"
"""
"""Counts are asked for between two rounds of polls."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What Telegraf took in `span_s` seconds: `metrics`, one for each poll, message or change; `errors` it counted."""

    cpu_s: float
    memory_mb: float
    span_s: float
    metrics: int
    errors: int

    @property
    def us_each(self) -> float:
        """CPU µs per metric."""
        return 1e6 * self.cpu_s / self.metrics


@dataclass(frozen=True, slots=True)
class Telegraf:
    """A binary with the inputs modbus, mqtt_consumer, opcua_listener and internal, the outputs discard and file."""

    program: Path

    def take(self, folder: Path, plugin: str, inputs: str, settle_s: float, seconds: float) -> Taken:
        """Run it with these inputs and return what their plugin took after it settled.

        Raises:
            RuntimeError: it took nothing.
        """
        counts, config, log = (folder / f"telegraf.{kind}" for kind in ("json", "conf", "log"))
        counts.unlink(missing_ok=True)
        config.write_text(_AGENT.format(counts=_COUNTS, file=counts) + inputs, "utf-8")
        with running(Command("telegraf", [str(self.program), "--config", str(config)], log)) as process:
            time.sleep(settle_s)
            watched = psutil.Process(process.pid)
            samples = [(time.time(), cpu_s(watched))]
            while samples[-1][0] < samples[0][0] + seconds + 1:
                time.sleep(_SAMPLE_S)
                samples.append((time.time(), cpu_s(watched)))
            memory = memory_mb(watched)
            time.sleep(2)
        at, used = np.array(samples).T
        told = [one for one in counted(counts, plugin) if at[0] <= one[0] <= at[-1]]
        if len(told) < 2 or told[-1][1] == told[0][1]:
            raise RuntimeError(f"telegraf took nothing: {log.read_text('utf-8', 'replace')[-2000:]}")
        (begin, before, wrong), (end, after, wrong_after) = told[0], told[-1]
        cpu = float(np.interp(end, at, used) - np.interp(begin, at, used))
        return Taken(cpu, memory, end - begin, after - before, wrong_after - wrong)


def counted(counts: Path, plugin: str) -> Iterable[tuple[float, int, int]]:
    """Give the instants (s since 1970) at which Telegraf said how many metrics a plugin gathered, and its errors."""
    for line in counts.read_text("utf-8").splitlines():
        said = json.loads(line)
        if said["tags"].get("input") == plugin:
            fields = said["fields"]
            errors = fields.get("gather_errors", 0) + fields.get("errors", 0)
            yield said["timestamp"] / 1000, int(fields["metrics_gathered"]), int(errors)


def modbus(devices: Iterable[tuple[str, int]], registers: int) -> str:
    """Return inputs that read `registers` holding registers of each (host, port) in one request, a field each."""
    fields = ", ".join(f'{{address={at}, name="r{at}", type="UINT16"}}' for at in range(registers))
    return "".join(
        f'[[inputs.modbus]]\n  name = "d{number}"\n  controller = "tcp://{host}:{port}"\n  timeout = "1s"\n'
        '  configuration_type = "request"\n  [[inputs.modbus.request]]\n    slave_id = 1\n    byte_order = "ABCD"\n'
        f'    register = "holding"\n    fields = [{fields}]\n'
        for number, (host, port) in enumerate(devices)
    )


def mqtt(port: int, topics: str) -> str:
    """Return an input that hears QoS 1 messages of JSON with their own time in `ts` (ms)."""
    return (
        f'[[inputs.mqtt_consumer]]\n  servers = ["tcp://127.0.0.1:{port}"]\n  topics = ["{topics}"]\n  qos = 1\n'
        '  client_id = "bench-telegraf"\n  max_undelivered_messages = 10000\n  data_format = "json"\n'
        '  json_time_key = "ts"\n  json_time_format = "unix_ms"\n'
    )


def opcua(sessions: Iterable[tuple[str, Iterable[str]]]) -> str:
    """Return an input for each session: (URL, node ids); a publishing interval of half a second, as the gateway's."""
    return "".join(
        f'[[inputs.opcua_listener]]\n  endpoint = "{url}"\n  subscription_interval = "500ms"\n'
        '  security_policy = "None"\n  security_mode = "None"\n  timestamp = "source"\n  nodes = [\n'
        + "".join(f'    {{name="v{at}", id="{node}"}},\n' for at, node in enumerate(nodes))
        + "  ]\n"
        for url, nodes in sessions
    )
