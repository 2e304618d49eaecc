"""`muster device`: single edits of the device book, by the same road as an import."""

import asyncio
import getpass
import json
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from psycopg import AsyncConnection

from deploy.cli_book import end
from deploy.console_output import DataDir, Json, show
from deploy.protocols import protocol_infos
from deploy.running import chosen, connections
from muster.errors import ConfigError
from services.ledger.edit import attest_device, change_device, retire_device
from store.connection import connected

devices = typer.Typer(no_args_is_help=True, help="Change, attest or retire one device.")
Enterprise = Annotated[str, typer.Argument(help="code of its enterprise")]
Code = Annotated[str, typer.Argument(help="code of the device")]
T = TypeVar("T")


@devices.command()
def change(
    enterprise: Enterprise,
    code: Code,
    changes: Annotated[list[str], typer.Argument(help="field=value, as in the document")],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Change fields of a device, such as interval_s=5."""
    wanted = dict(_pair(one) for one in changes)
    end(
        _with_book(
            data_dir,
            lambda session: change_device(
                session,
                protocol_infos(),
                enterprise=enterprise,
                code=code,
                changes=wanted,
                actor=getpass.getuser(),
                scope=None,
            ),
        ),
        as_json=as_json,
    )


@devices.command()
def attest(
    enterprise: Enterprise,
    code: Code,
    serial_number: Annotated[str, typer.Option(help="as its nameplate says")],
    nameplate: Annotated[Path, typer.Option(help="photograph of the nameplate")],
    by: Annotated[str, typer.Option(help="who attests")],
    on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="the day; today without it")
    ] = None,
    real: Annotated[bool, typer.Option("--real", help="set its origin to real as well")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Record who says that a device is a real machine, with its nameplate."""
    try:
        photograph = nameplate.read_bytes()
    except OSError as error:
        raise ConfigError(f"--nameplate {nameplate}: {error.strerror}") from error
    end(
        _with_book(
            data_dir,
            lambda session: attest_device(
                session,
                protocol_infos(),
                enterprise=enterprise,
                code=code,
                serial_number=serial_number,
                nameplate=photograph,
                attested_by=by,
                attested_on=on.date() if on else date.today(),  # noqa: DTZ011 - the day where the user is
                real=real,
                actor=getpass.getuser(),
                scope=None,
            ),
        ),
        as_json=as_json,
    )


@devices.command()
def retire(enterprise: Enterprise, code: Code, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Retire a device: no longer watched or counted from now on; its past stays."""
    _with_book(
        data_dir,
        lambda session: retire_device(
            session, enterprise=enterprise, code=code, actor=getpass.getuser(), scope=None
        ),
    )
    if as_json:
        show([json.dumps({"enterprise": enterprise, "code": code, "retired": True}, ensure_ascii=False)])


def _pair(said: str) -> tuple[str, str]:
    name, equals, value = said.partition("=")
    if not equals:
        raise ConfigError(f"{said}: not of the form field=value")
    return name, value


def _with_book(data_dir: Path | None, work: Callable[[AsyncConnection[Any]], Awaitable[T]]) -> T:
    async def run() -> T:
        async with connected(connections(chosen(data_dir)).api, "device") as session:
            return await work(session)

    return asyncio.run(run())
