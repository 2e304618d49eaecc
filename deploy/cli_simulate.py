"""`muster simulate`: faults on demand in a running demo's fleet, and replays of recordings."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml

from deploy.console_output import DataDir, Json, show
from deploy.layout import layout_of
from deploy.progress import tell
from deploy.running import chosen
from muster.clock import SystemClock
from muster.errors import ConfigError
from simulators import pollcounter
from simulators.control import order
from simulators.faults import FaultKind
from simulators.modbus.ports import free_ports
from simulators.mqtt.link import Broker
from simulators.replays.modbus import FloatType, ModbusPlayer
from simulators.replays.mqtt import MqttPlayer
from simulators.replays.player import Player
from simulators.replays.player import book as player_book
from simulators.replays.recording import Recording, load
from simulators.serve import serve
from simulators.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Simulated equipment: faults on demand, replays.")
Protocol = Literal["modbus", "mqtt", "opcua"]
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
    over: Annotated[Protocol, typer.Option(help="protocol it is played over")] = "modbus",
    port: Annotated[
        int | None, typer.Option(help="TCP port; a free one without it; of a broker for mqtt")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="host of a broker for mqtt; without it the running site's")
    ] = None,
    gateway: Annotated[str, typer.Option(help="code of the gateway that shall read it")] = "demo-1",
    speed: Annotated[float, typer.Option(min=0.01, help="times as fast as recorded")] = 1.0,
    interval_s: Annotated[float, typer.Option(min=0.05, help="seconds between polls")] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", help="begin again at the end")] = False,
    float_type: Annotated[FloatType, typer.Option("--type", help="registers of each value")] = "float64",
    data_dir: DataDir = None,
) -> None:
    """Play a recording as a device over one of the protocols, marked as a replay, until Ctrl-C."""
    found = load(recording)
    if over == "mqtt":
        broker, heard_at = _broker(host, port, data_dir)
        player: Player = MqttPlayer(found, broker, heard_at, SystemClock())
        at = broker.port
    else:
        at = port or free_ports(1)[0]
        player = _serving(over, found, at, float_type)
    document = player_book(player, gateway, interval_s)
    book.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), "utf-8")
    tell("simulate.serving", port=at, book=str(book))
    asyncio.run(serve([player], player.run(speed, loop)))


def _serving(over: Protocol, recording: Recording, port: int, float_type: FloatType) -> Player:
    if over == "modbus":
        return ModbusPlayer(recording, "127.0.0.1", port, float_type)
    from simulators.replays.opcua import OpcuaPlayer  # its library would slow every other command

    return OpcuaPlayer(recording, "127.0.0.1", port, SystemClock())


def _broker(host: str | None, port: int | None, data_dir: Path | None) -> tuple[Broker, dict[str, Any]]:
    """Return the broker that was named, without a password, or that of the site that runs here."""
    if host is not None:
        named = Broker(host=host, port=port or 1883)
        return named, {"host": named.host, "port": named.port}
    from deploy.equipment import embedded_broker

    layout = chosen(data_dir)
    known = port or layout.known_port("mqtt")
    if known is None:
        raise ConfigError(f"{layout.root}: no embedded broker was started here; name one with --host")
    return embedded_broker(layout, known)


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
