"""`muster quarantine` and `muster token`: looking after a running installation."""

import asyncio
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from api import tokens as access
from deploy.console_output import DataDir, Json, show
from deploy.progress import both
from deploy.running import Connections, chosen, connections
from ingest import quarantine as refused
from muster.errors import RequestError

quarantine = typer.Typer(no_args_is_help=True, help="Batches that were refused, and storing them after all.")
tokens = typer.Typer(no_args_is_help=True, help="Access tokens of the API and the console.")


@quarantine.command("list")
def quarantine_list(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List refused batches, newest first, each with its reason."""
    found = asyncio.run(refused.entries(_ways(data_dir).ingest, limit))
    if as_json:
        _print(found)
        return
    for entry in found:
        replayed = f"→ {entry.replayed_batch}" if entry.replayed_batch else ""
        reason = both(entry.reason, **entry.detail)
        show([f"{entry.id:>8}  {entry.recorded_at:%F %T}  gateway {entry.gateway}  {reason} {replayed}"])


@quarantine.command("replay")
def quarantine_replay(number: int, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Store a refused batch after its reason was mended."""
    batch = asyncio.run(refused.replay(_ways(data_dir).ingest, number))
    if as_json:
        _print({"id": number, "batch": batch})
    else:
        show([str(batch)])


@quarantine.command("show")
def quarantine_show(number: int, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show everything that was written down of a refused batch."""
    found = asyncio.run(refused.entries(_ways(data_dir).ingest, 1, before=number + 1))
    if not found or found[0].id != number:
        raise RequestError(f"quarantine {number}: there is none", status=404, code="not-found")
    (entry,) = found
    if as_json:
        _print(entry)
        return
    show([both(entry.reason, **entry.detail)])
    show([f"  {name:<16} {value}" for name, value in asdict(entry).items() if value is not None])


@tokens.command("create")
def token_create(
    label: str,
    enterprise: Annotated[str | None, typer.Option(help="code of the only enterprise it sees")] = None,
    may_write: Annotated[bool, typer.Option("--may-write", help="may also change the device book")] = False,
    days: Annotated[float | None, typer.Option(min=0.001, help="days until it expires")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make a token; it is shown this once."""
    lasts = None if days is None else timedelta(days=days)
    owner = _ways(data_dir).owner
    number, token = asyncio.run(
        access.create(owner, label, enterprise=enterprise, may_write=may_write, lasts=lasts)
    )
    if as_json:
        _print({"id": number, "token": token})
    else:
        show([token])


@tokens.command("list")
def token_list(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List every token ever made."""
    found = asyncio.run(access.list_tokens(_ways(data_dir).owner))
    if as_json:
        _print(found)
        return
    for token in found:
        ended = token.revoked_at or token.expires_at
        end = "" if ended is None else f"until {ended:%F %T}"
        scope = token.enterprise or "*"
        rights = "rw" if token.may_write else "r"
        show([f"{token.id:>6}  {scope:<16} {rights:<3} {token.label}  {end}"])


@tokens.command("revoke")
def token_revoke(number: int, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Refuse a token from now on."""
    asyncio.run(access.revoke(_ways(data_dir).owner, number))
    if as_json:
        _print({"id": number, "revoked": True})


def _ways(data_dir: Path | None) -> Connections:
    return connections(chosen(data_dir))


def _print(value: Any) -> None:
    show([msgspec.json.encode(value).decode()])
