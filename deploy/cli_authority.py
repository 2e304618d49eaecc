"""`muster certificate authorities`, `add` and `remove`: the authorities that a gateway on this machine trusts."""

import asyncio
import getpass
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from deploy.console_output import DataDir, Json, show
from deploy.progress import both
from deploy.running import chosen, connections
from gateway.adapters.opcua.laying import Laid, Unfit, laid, lay, remove
from muster.clock import SystemClock, to_datetime
from muster.errors import ConfigError, RequestError
from services.ledger.edit import record_decision
from store.connection import connected

Gateway = Annotated[str, typer.Option(help="code of the gateway; each process of a shared one has its own")]
_PROTOCOL = "opcua"


def list_authorities(gateway: Gateway = "demo-1", data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the authorities and revocation lists of a gateway, and what is wrong with them."""
    found = laid(_folder(gateway, data_dir), _now())
    if as_json:
        show([json.dumps([asdict(one) for one in found], ensure_ascii=False)])
    else:
        show(_line(one) for one in found)


def add(
    file: Annotated[Path, typer.Argument(help="an authority's certificate or revocation list, DER or PEM")],
    gateway: Gateway = "demo-1",
    issuer: Annotated[
        bool,
        typer.Option(help="only stands between a trusted authority and servers; trusted for nothing else"),
    ] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Trust an authority from now on, or lay its newer revocation list."""
    folder = _folder(gateway, data_dir)
    try:
        made = lay(folder, file.read_bytes(), _now(), issuer=issuer)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    except Unfit as error:
        raise _refused(error) from error
    if made.kind == "authority" and not issuer:
        _write_down(gateway, made.thumbprint, data_dir, trust=True)
    show([json.dumps(asdict(made), ensure_ascii=False) if as_json else _line(made)])


def forget(
    thumbprint: str, gateway: Gateway = "demo-1", data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Trust an authority no longer; its revocation list goes, too."""
    wanted = thumbprint.upper().replace(":", "").replace(" ", "")
    try:
        gone = remove(_folder(gateway, data_dir), wanted)
    except Unfit as error:
        raise _refused(error) from error
    _write_down(gateway, wanted, data_dir, trust=False)
    show([json.dumps({"removed": gone}, ensure_ascii=False)] if as_json else gone)


def _folder(gateway: str, data_dir: Path | None) -> Path:
    """Return the room's folder of a gateway whose process runs on this machine."""
    layout = chosen(data_dir)
    if not layout.outbox(gateway).exists():
        raise RequestError(
            both("certificate.gateway-elsewhere", gateway=gateway, folder=layout.root),
            status=404,
            code="unknown-gateway",
        )
    return layout.rooms(gateway) / _PROTOCOL


def _write_down(gateway: str, thumbprint: str, data_dir: Path | None, *, trust: bool) -> None:
    async def work() -> None:
        ways = connections(chosen(data_dir))
        async with connected(ways.api, "certificate") as session:
            await record_decision(
                session,
                gateway=gateway,
                protocol=_PROTOCOL,
                thumbprint=thumbprint,
                trust=trust,
                actor=getpass.getuser(),
                scope=None,
            )

    asyncio.run(work())


def _line(one: Laid) -> str:
    until = "" if one.until is None else f"  → {datetime.fromtimestamp(one.until / 1e6, UTC):%F}"
    problem = f"  {both(one.problem)}" if one.problem else ""
    return f"{one.kind:<15} {one.thumbprint:<40}  {one.subject}{until}  {one.file}{problem}"


def _refused(error: Unfit) -> RequestError:
    return RequestError(
        both(error.reason, **error.detail), status=422, code=error.reason.removeprefix("opcua.")
    )


def _now() -> datetime:
    return to_datetime(SystemClock().now_us())
