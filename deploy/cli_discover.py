"""`muster discover` and `muster certificate`: what equipment offers, and whom a gateway trusts."""

import asyncio
import getpass
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from bus import connection, subjects
from deploy.console_output import DataDir, Json, show
from deploy.progress import both
from deploy.running import chosen, connections
from gateway.adapter import protocols
from muster.device import ReportMode
from muster.errors import ConfigError, RequestError
from services.ledger.edit import record_decision
from store.connection import connected

certificates = typer.Typer(no_args_is_help=True, help="Certificates that equipment showed to a gateway.")
Gateway = Annotated[str, typer.Option(help="code of the gateway that speaks to the equipment")]
Protocol = Annotated[str, typer.Option(help="protocol room of the gateway")]
_LONGEST_S = 30.0
_NO_TAGS = ("sparkplug.found-unnamed", "sparkplug.found-command")
_FACTS = ("Properties/", "bdSeq")
_THUMBPRINT = re.compile(r"\b[0-9A-F]{40}\b")
_MODELLESS = re.compile(r"[^A-Za-z0-9._-]+")


def discover(
    protocol: Annotated[str, typer.Argument(help="opcua, mqtt or sparkplug")],
    given: Annotated[str, typer.Option("--connection", help="JSON as in a device's connection, or @file")],
    gateway: Gateway = "demo-1",
    search: Annotated[str, typer.Option(help="part of a path")] = "",
    wait_s: Annotated[float, typer.Option("--wait", min=0.5, max=25, help="seconds to listen")] = 5.0,
    book: Annotated[
        Path | None, typer.Option(help="where to write a device book for `muster import`")
    ] = None,
    enterprise: Annotated[str, typer.Option(help="code of the enterprise in that book")] = "acme",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show what equipment offers that is in no device book yet, ready to be imported."""
    wanted = _read_connection(given)
    question = {"protocol": protocol, "connection": wanted, "search": search, "wait_s": wait_s}
    try:
        found: list[dict[str, Any]] = asyncio.run(_ask(gateway, "discover", question, data_dir))["found"]
    except RequestError as error:
        shown = _THUMBPRINT.search(str(error))
        if error.code != "opcua.certificate-waiting" or shown is None:
            raise
        words = both("cli.certificate-waiting", thumbprint=shown[0])
        raise RequestError(words, status=error.status, code=error.code) from error
    if book is not None:
        text = yaml.safe_dump(
            as_book(protocol, wanted, gateway, enterprise, found), allow_unicode=True, sort_keys=False
        )
        book.write_text(text, "utf-8")
    if as_json:
        show([json.dumps(found, ensure_ascii=False)])
        return
    for one in found:
        value = "" if one["value"] is None else one["value"]
        show([f"{one['path']}  {one['type']}  {value}  {json.dumps(one['address'], ensure_ascii=False)}"])


def as_book(
    protocol: str, wanted: dict[str, Any], gateway: str, enterprise: str, found: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return a device book with one model and one device for each group that was found, nameplates left out."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        if not one["group"].endswith("/Identification") and one.get("note") not in _NO_TAGS:
            groups.setdefault(one["group"], []).append(one)
    by_change = protocols()[protocol].report_mode is ReportMode.ON_CHANGE
    models, devices = [], []
    for group, members in groups.items():
        if all(_is_fact(one) for one in members):
            continue
        code = _MODELLESS.sub("-", group).strip("-") or protocol
        intervals = [one["interval_s"] for one in members if one["interval_s"]]
        models.append(
            {
                "code": f"{code}-model",
                "name": group or code,
                "protocol": protocol,
                "device_class": "other",
                "kind": "",
                "report_mode": "periodic" if intervals and not by_change else "on_change",
                "interval_s": min(intervals, default=1.0),
                "tags": _tags(members),
            }
        )
        device: dict[str, Any] = {
            "enterprise": enterprise,
            "gateway": gateway,
            "model": f"{code}-model",
            "code": code,
            "name": group or code,
            "connection": {**wanted, **_named_by(protocol, group)},
        }
        devices.append(device)
    return {"enterprises": [{"code": enterprise, "name": enterprise}], "models": models, "devices": devices}


def _is_fact(found: dict[str, Any]) -> bool:
    """Tell whether it is said of a Sparkplug edge node or device itself, which the gateway reads anyway."""
    return str(found["address"].get("metric", "")).startswith(_FACTS)


def _named_by(protocol: str, group: str) -> dict[str, Any]:
    """Return what of a device's connection stands in its group's name."""
    if protocol == "mqtt":
        return {"topic": group}
    if protocol == "sparkplug":
        return dict(zip(("group", "edge_node", "device"), group.split("/"), strict=False))
    return {}


def _tags(members: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the tags of a model, no name twice."""
    names: set[str] = set()
    tags = []
    for one in members:
        name = one["name"]
        while name in names:
            name = f"{name}_"
        names.add(name)
        tags.append({"name": name, "type": one["type"], "address": one["address"], "unit": one["unit"]})
    return tags


@certificates.command("list")
def list_certificates(
    gateway: Gateway = "demo-1", protocol: Protocol = "opcua", data_dir: DataDir = None, as_json: Json = False
) -> None:
    """List what servers showed, newest first, and what was decided."""
    found = asyncio.run(_ask(gateway, "certificates", {"protocol": protocol}, data_dir))["certificates"]
    if as_json:
        show([json.dumps(found, ensure_ascii=False)])
        return
    for one in found:
        until = datetime.fromtimestamp(one["not_after"] / 1e6, UTC)
        show([f"{one['state']:<8} {one['thumbprint']}  {one['subject']}  {one['endpoint']}  → {until:%F}"])


@certificates.command("trust")
def trust(
    thumbprint: str,
    gateway: Gateway = "demo-1",
    protocol: Protocol = "opcua",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Trust a certificate from now on."""
    _decide(thumbprint, gateway, protocol, data_dir, trust=True, as_json=as_json)


@certificates.command("refuse")
def refuse(
    thumbprint: str,
    gateway: Gateway = "demo-1",
    protocol: Protocol = "opcua",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Refuse a certificate from now on."""
    _decide(thumbprint, gateway, protocol, data_dir, trust=False, as_json=as_json)


def _decide(
    thumbprint: str, gateway: str, protocol: str, data_dir: Path | None, *, trust: bool, as_json: bool
) -> None:
    """Let the gateway decide, and write down who did; what it refuses is not written down."""
    question: dict[str, Any] = {"protocol": protocol, "thumbprint": thumbprint.upper(), "trust": trust}

    async def work() -> dict[str, Any]:
        ways = connections(chosen(data_dir))
        async with connected(ways.api, "certificate") as session, session.transaction():
            await record_decision(session, gateway=gateway, **question, actor=getpass.getuser(), scope=None)
            return await _ask(gateway, "decide", question, data_dir)

    decided = asyncio.run(work())["certificate"]
    if as_json:
        show([json.dumps(decided, ensure_ascii=False)])
    else:
        show([f"{decided['state']:<8} {decided['thumbprint']}  {decided['subject']}"])


def _read_connection(given: str) -> dict[str, Any]:
    try:
        text = Path(given[1:]).read_text("utf-8") if given.startswith("@") else given
        found = yaml.safe_load(text)
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"--connection: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError("--connection: is no JSON object")
    return found


async def _ask(gateway: str, verb: str, question: dict[str, Any], data_dir: Path | None) -> dict[str, Any]:
    ways = connections(chosen(data_dir))
    async with connected(ways.owner, "discover") as session:
        answer = await session.execute("select id from gateway where code = %s", (gateway,))
        row = await answer.fetchone()
    if row is None:
        raise RequestError(f"--gateway: no gateway {gateway}", status=404, code="unknown-gateway")
    client = await connection.connect(ways.bus, "discover")
    try:
        return await connection.ask(client, subjects.request(row[0], verb), question, _LONGEST_S)
    finally:
        await client.close()
