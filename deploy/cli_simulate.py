"""`muster simulate`: faults on demand in a running demo's fleet, and replays of recordings."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.console_output import DataDir, Json, show
from deploy.layout import Layout, default_data_dir
from muster.errors import ConfigError
from simulators.control import order
from simulators.faults import FaultKind
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
    delay_s: Annotated[float | None, typer.Option("--delay", help="seconds by which slow answers come late")] = None,
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
def restore(device: Device = None, endpoint: Endpoint = None, data_dir: DataDir = None, as_json: Json = False) -> None:
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
    layout = Layout((data_dir or default_data_dir() / "demo").absolute())
    file = layout.run / "simulators.json"
    try:
        settings = Settings.model_validate_json(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{layout.root}: no simulators were started here") from error
    return await order(settings.control_port, settings.token_file.read_text("utf-8").strip(), what)
