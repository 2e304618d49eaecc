"""The command line: `muster`. Results on stdout (`--json` for machines), everything else on stderr.

Exit codes: 0 done, 1 something is not well, 2 the configuration or the request is wrong.
"""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from deploy import cli_authority, cli_book, cli_device, cli_discover, cli_fsck, cli_operate, cli_simulate
from deploy.console_output import DataDir, Json, show
from deploy.doctor import examine
from deploy.layout import layout_of
from deploy.running import chosen
from deploy.running import status as running_status
from muster import __version__
from muster.errors import MusterError, RequestError

cli_discover.certificates.command("authorities")(cli_authority.list_authorities)
cli_discover.certificates.command("add")(cli_authority.add)
cli_discover.certificates.command("remove")(cli_authority.forget)
app = typer.Typer(
    name="muster", no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__, add_completion=False
)
app.command("import")(cli_book.import_book)
app.command("export")(cli_book.export_book)
app.command("discover")(cli_discover.discover)
app.command("fsck")(cli_fsck.check)
app.add_typer(cli_book.gateways, name="gateway")
app.add_typer(cli_discover.certificates, name="certificate")
app.add_typer(cli_device.devices, name="device")
app.add_typer(cli_operate.quarantine, name="quarantine")
app.add_typer(cli_operate.tokens, name="token")
app.add_typer(cli_simulate.app, name="simulate")


@app.command()
def demo(
    data_dir: DataDir = None,
    port: Annotated[int, typer.Option(help="port of the console")] = 8420,
    devices: Annotated[int, typer.Option(min=1, max=10_000, help="how many simulated devices")] = 520,
    simulators: Annotated[bool, typer.Option(help="start simulated devices")] = True,
    as_json: Json = False,
) -> None:
    """Bring up everything with simulated devices, in the foreground, until Ctrl-C."""
    from deploy import launcher, site  # what only a launcher needs would slow every other command

    layout = layout_of(data_dir)
    launcher.launch(site.demo(port, devices if simulators else None), layout, as_json=as_json)


@app.command()
def up(
    config: Annotated[Path, typer.Option(help="TOML file that describes the installation")],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Bring up an installation as its file describes it, in the foreground, until Ctrl-C."""
    from deploy import launcher, site

    layout = layout_of(data_dir, "site")
    launcher.launch(site.load(config), layout, as_json=as_json)


@app.command()
def status(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Say what is up and what is not."""
    found = running_status(chosen(data_dir))
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        show(_status_lines(found))
    well = found["up"] and all(process["up"] for process in found["processes"].values())
    raise typer.Exit(0 if well else 1)


@app.command()
def doctor(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Examine a running installation and say what to do about what is not well."""
    findings = asyncio.run(examine(chosen(data_dir)))
    if as_json:
        print(json.dumps([finding.as_json() for finding in findings], ensure_ascii=False))
    else:
        for finding in findings:
            mark = "✓" if finding.well else "✗"
            show([f"{mark} {finding.says('zh-CN')}  ·  {finding.says('en')}"])
            if not finding.well:
                show([f"    → {finding.remedy('zh-CN')}  ·  {finding.remedy('en')}"])
    raise typer.Exit(0 if all(finding.well for finding in findings) else 1)


@app.command()
def version(as_json: Json = False) -> None:
    """Say which version this is."""
    print(json.dumps({"version": __version__}) if as_json else __version__)


def _status_lines(found: dict[str, Any]) -> list[str]:
    if not found["processes"]:
        return [f"down  {found['data_dir']}"]
    lines = [f"{'up' if found['up'] else 'starting'}  {found['console']}"]
    for name, process in found["processes"].items():
        word = "up" if process["up"] else "down"
        health = process["health"] or ""
        lines.append(
            f"  {name:<20} {word:<5} pid {process['pid']:<8} restarts {process['restarts']:<4} {health}"
        )
    return lines


def main() -> None:
    """Run the command line, with errors said in one line each.

    The log is for processes; the command line speaks through the catalogue, and its own lines only.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.ERROR)
    try:
        app()
    except MusterError as error:
        print(f"muster: {error}", file=sys.stderr)
        sys.exit(1 if isinstance(error, RequestError) and error.status == 404 else 2)
