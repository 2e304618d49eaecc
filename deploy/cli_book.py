"""`muster import`, `muster export` and `muster gateway`: the device book from the command line."""

import asyncio
import base64
import getpass
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from deploy.console_output import DataDir, Json, show
from deploy.progress import both
from deploy.protocols import protocol_infos
from deploy.running import chosen, connections
from muster.errors import ConfigError, RequestError
from services import ledger
from services.ledger.edit import add_gateway, revoke_key
from services.ledger.export import export
from services.ledger.members import Holder, holders, members_of, pin, set_members
from services.ledger.problems import Report
from store.connection import connected

gateways = typer.Typer(no_args_is_help=True, help="Gateways and their keys.")
Language = Annotated[str, typer.Option("--language", help="zh-CN or en")]


def import_book(
    file: Annotated[Path, typer.Argument(help="YAML, CSV or XLSX")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would change, change nothing")] = False,
    model: Annotated[str | None, typer.Option(help="device model of all rows of a CSV")] = None,
    retire_missing: Annotated[
        bool,
        typer.Option("--retire-missing", help="retire devices of these enterprises that it does not list"),
    ] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Import a device book: all of it, or nothing and every mistake by sheet, row and column."""
    layout = chosen(data_dir)

    async def work() -> Report:
        book = ledger.load(file, fixed={"model": model} if model else None)
        async with connected(connections(layout).api, "import") as session:
            return await ledger.apply(
                session,
                book,
                protocol_infos(),
                dry_run=dry_run,
                actor=getpass.getuser(),
                scope=None,
                retire_missing=retire_missing,
            )

    end(asyncio.run(work()), as_json=as_json)


def end(report: Report, *, as_json: bool) -> NoReturn:
    """Print the report and end with its exit code."""
    if as_json:
        show([msgspec.json.encode(report).decode()])
    else:
        show_report(report)
    raise typer.Exit(0 if report.ok else 2)


def show_report(report: Report) -> None:
    """Print what a book would do or did, and everything that is wrong with it."""
    for problem in report.errors:
        show([f"✗ {problem.say()}  ·  {problem.say('en')}"])
    if report.error_count > len(report.errors):
        show([f"  … {report.error_count} ✗"])
    for problem in report.warnings:
        show([f"! {problem.say()}  ·  {problem.say('en')}"])
    for sheet, counts in report.counts.items():
        show([f"  {sheet:<12} +{counts.created}  ~{counts.changed}  ={counts.unchanged}  -{counts.retired}"])


def export_book(
    file: Annotated[Path, typer.Argument(help="ends in .yaml, .csv or .xlsx")],
    sheet: Annotated[str, typer.Option(help="which sheet a CSV holds")] = "devices",
    language: Language = "zh-CN",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Export the device book; importing it again changes nothing."""
    layout = chosen(data_dir)
    formats: dict[str, ledger.Format] = {".yaml": "yaml", ".yml": "yaml", ".csv": "csv", ".xlsx": "xlsx"}
    kind = formats.get(file.suffix.lower())
    if kind is None:
        raise ConfigError(f"{file}: its name ends in none of {', '.join(formats)}")

    async def work() -> bytes:
        async with connected(connections(layout).api, "export") as session:
            return await export(
                session, kind, None, sheet=sheet, language="en" if language == "en" else "zh-CN"
            )

    body = asyncio.run(work())
    try:
        file.write_bytes(body)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    if as_json:
        show([msgspec.json.encode({"file": str(file), "bytes": len(body)}).decode()])


@gateways.command("add")
def gateway_add(
    code: str,
    public_key: Annotated[str, typer.Option(help="its Ed25519 public key, 32 bytes as base64")],
    name: Annotated[str, typer.Option()] = "",
    enterprise: Annotated[str | None, typer.Option(help="code of the enterprise it belongs to")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Register a gateway that runs elsewhere, and enrol its key."""
    layout = chosen(data_dir)
    key = _key(public_key)

    async def work() -> Report:
        async with connected(connections(layout).api, "gateway") as session:
            return await add_gateway(
                session,
                code=code,
                name=name,
                enterprise=enterprise,
                public_key=key,
                actor=getpass.getuser(),
                scope=None,
            )

    end(asyncio.run(work()), as_json=as_json)


@gateways.command("revoke")
def gateway_revoke(
    code: str,
    public_key: Annotated[str, typer.Option(help="the key, 32 bytes as base64")],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Refuse from now on what a gateway's key signs."""
    layout = chosen(data_dir)

    async def work() -> None:
        async with connected(connections(layout).api, "gateway") as session:
            await revoke_key(
                session, gateway=code, public_key=_key(public_key), actor=getpass.getuser(), scope=None
            )

    asyncio.run(work())
    if as_json:
        show([msgspec.json.encode({"gateway": code, "revoked": public_key}).decode()])


@gateways.command("list")
def gateway_list(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List every gateway process with the devices it holds, and since when."""
    layout = chosen(data_dir)

    async def work() -> list[Holder]:
        async with connected(connections(layout).api, "gateway") as session:
            return await holders(session)

    found = asyncio.run(work())
    if as_json:
        show([msgspec.json.encode(found).decode()])
        return
    for one in found:
        since = "" if one.since is None else both("gateway.since", at=f"{one.since:%F %T}")
        held = both("gateway.holds", devices=one.devices, pinned=one.pinned)
        show([f"{one.code:<20} {'' if one.head == one.code else one.head:<20} {held}  {since}"])


@gateways.command("join")
def gateway_join(code: str, head: str, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Let a gateway that runs elsewhere share the devices of another, HEAD; both must be started as shared."""
    layout = chosen(data_dir)

    async def work() -> list[str]:
        async with connected(connections(layout).api, "gateway") as session:
            await set_members(session, head, [code], [])
            return await members_of(session, head)

    members = asyncio.run(work())
    if code not in members:
        raise RequestError(f"gateway {code} or {head}: there is none", status=404, code="not-found")
    if as_json:
        show([msgspec.json.encode({"gateway": head, "members": members}).decode()])


@gateways.command("pin")
def gateway_pin(code: str, devices: list[str], data_dir: DataDir = None, as_json: Json = False) -> None:
    """Give devices, by code, to this process of their gateway alone: nobody takes them over."""
    _pin(code, devices, data_dir, as_json=as_json)


@gateways.command("unpin")
def gateway_unpin(devices: list[str], data_dir: DataDir = None, as_json: Json = False) -> None:
    """Let every process of their gateway hold devices again; the one that had them must be reachable, or off."""
    _pin(None, devices, data_dir, as_json=as_json)


def _pin(code: str | None, devices: list[str], data_dir: Path | None, *, as_json: bool) -> None:
    layout = chosen(data_dir)

    async def work() -> list[str]:
        async with connected(connections(layout).api, "gateway") as session:
            return await pin(session, code, devices, getpass.getuser())

    found = asyncio.run(work())
    if as_json:
        show([msgspec.json.encode({"gateway": code, "devices": found}).decode()])


def _key(public_key: str) -> bytes:
    try:
        return base64.b64decode(public_key, validate=True)
    except ValueError as error:
        raise ConfigError(f"--public-key: {error}") from error
