"""`muster simulate`: faults on demand in a running demo's fleet, and replays of recordings."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from deploy.console_output import DataDir, Json, show
from deploy.layout import layout_of
from deploy.progress import tell
from muster.errors import ConfigError
from simulators import pollcounter
from simulators import replay as replays
from simulators.control import order
from simulators.faults import FaultKind
from simulators.modbus.ports import free_ports
from simulators.serve import serve
from simulators.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Simulated equipment: faults on demand, replays.")
Device = Annotated[str | None, typer.Option(help="code of one device; without it, all")]
Endpoint = Annotated[int | None, typer.Option(help="number or port of one endpoint")]


@app.command()
def fault(
    kind: Annotated[FaultKind, typer.Option(help="what goes wrong")],
    device: Device = None,
    endpoint: Endpoint = None,
    for_s: Annotated[float | None, typer.Option("--for", help="seconds until it is lifted")] = None,
    delay_s: Annotated[
        float | None, typer.Option("--delay", help="seconds by which slow answers come late")
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Let a device, an endpoint or everything fail."""
    what = {
        "do": "fault",
        "kind": kind.value,
        "device": device,
        "endpoint": endpoint,
        "for_s": for_s,
        "delay_s": delay_s,
    }
    _give(what, data_dir, as_json)


@app.command()
def restore(
    device: Device = None, endpoint: Endpoint = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Lift the fault of a device, an endpoint or everything."""
    _give({"do": "restore", "device": device, "endpoint": endpoint}, data_dir, as_json)


@app.command()
def faults(data_dir: DataDir = None) -> None:
    """List the faults in force."""
    answer = asyncio.run(_order({"do": "faults"}, data_dir))
    show([json.dumps(answer["faults"], ensure_ascii=False)])


def _give(what: dict[str, Any], data_dir: Path | None, as_json: bool) -> None:
    answer = asyncio.run(_order(what, data_dir))
    show([json.dumps(answer, ensure_ascii=False)] if as_json else answer["devices"])


async def _order(what: dict[str, Any], data_dir: Path | None) -> dict[str, Any]:
    layout = layout_of(data_dir)
    file = layout.run / "simulators.json"
    try:
        settings = Settings.model_validate_json(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{layout.root}: no simulators were started here") from error
    return await order(settings.control_port, settings.token_file.read_text("utf-8").strip(), what)


@app.command()
def replay(
    recording: Annotated[Path, typer.Argument(help="CSV with a header; its first column may hold instants")],
    book: Annotated[Path, typer.Option(help="where to write the device book that `muster import` takes")],
    port: Annotated[int | None, typer.Option(help="TCP port; a free one without it")] = None,
    gateway: Annotated[str, typer.Option(help="code of the gateway that shall read it")] = "demo-1",
    speed: Annotated[float, typer.Option(min=0.01, help="times as fast as recorded")] = 1.0,
    interval_s: Annotated[float, typer.Option(min=0.05, help="seconds between polls")] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", help="begin again at the end")] = False,
    float_type: Annotated[
        replays.FloatType, typer.Option("--type", help="registers of each value")
    ] = "float64",
) -> None:
    """Serve a recording as a Modbus device, marked as a replay, until Ctrl-C."""
    chosen = port or free_ports(1)[0]
    player = replays.Player(replays.load(recording), "127.0.0.1", chosen, float_type)
    document = replays.book(player.recording, "127.0.0.1", chosen, gateway, interval_s, float_type)
    book.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), "utf-8")
    tell("simulate.serving", port=chosen, book=str(book))
    asyncio.run(serve([player.endpoint], player.run(speed, loop)))


@app.command("poll-counter")
def poll_counter(
    log: Annotated[Path, typer.Option(help="where each answer is written: device, count, µs since 1970")],
    book: Annotated[Path, typer.Option(help="where to write the device book that `muster import` takes")],
    devices: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    gateway: Annotated[str, typer.Option(help="code of the gateway that shall read them")] = "demo-1",
    interval_s: Annotated[float, typer.Option(min=0.05, help="seconds between polls")] = 1.0,
) -> None:
    """Serve devices that count their own answers, until Ctrl-C: the equipment's side of a loss test."""
    ports = free_ports(pollcounter.endpoint_count(devices))
    document = pollcounter.book(devices, "127.0.0.1", ports, gateway, interval_s)
    book.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), "utf-8")
    tell("simulate.serving", port=ports[0], book=str(book))
    asyncio.run(serve(pollcounter.endpoints(devices, "127.0.0.1", ports, log)))
