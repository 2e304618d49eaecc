"""Discovery through gateways, and which certificates they trust.

A gateway reaches networks and files that nobody else does, so only tokens that may write let it look at an address,
and a gateway that several enterprises share obeys the operator alone.
"""

from typing import Annotated, Any

from fastapi import Path, Query

from api.access import CurrentViewer, Viewer, WritingViewer
from api.models.discovery import (
    CertificateAnswer,
    CertificateList,
    DecideQuestion,
    DiscoverQuestion,
    FoundAnswer,
    FoundList,
)
from api.problems import not_found
from api.routes.answering import router_of
from api.routes.devices import DeviceNumber, require_device
from api.routes.filters import Text
from api.state import CurrentState, State
from bus import subjects
from muster.clock import to_datetime
from muster.errors import RequestError, Unavailable
from services import ledger

_LONGEST_S = 31.0
"""A gateway gives up after 30 s, and says so."""

router = router_of("discovery")

GatewayNumber = Annotated[int, Path(ge=1, le=2**31 - 1, description="The gateway's number.", examples=[1])]
Thumbprint = Annotated[
    str,
    Path(
        pattern="^[0-9A-Fa-f]{40}$",
        description="SHA-1 of the certificate's DER form, in hexadecimal.",
        examples=["6F1A0C3B5D7E9F1A2B3C4D5E6F708192A3B4C5D6"],
    ),
]


@router.post("/gateways/{gateway}/discover", summary="Look at equipment that is in no device book")
async def discover(
    gateway: GatewayNumber, question: DiscoverQuestion, viewer: WritingViewer, state: CurrentState
) -> FoundList:
    """What equipment at an address offers, asked through a gateway; 503 when either does not answer."""
    code = await _require_gateway(state, viewer, gateway)
    return await _found(state, gateway, code, "discover", question.model_dump())


@router.get("/devices/{device}/browse", summary="Browse what a device offers")
async def browse(
    device: DeviceNumber,
    viewer: CurrentViewer,
    state: CurrentState,
    search: Annotated[
        Text, Query(max_length=200, description="Part of a path or name.", examples=["Temp"])
    ] = "",
) -> FoundList:
    """What a registered device offers beside its tags; 503 when its gateway does not answer."""
    async with state.database.reading(viewer.enterprise) as reading:
        row = await require_device(reading, device)
    number = row["gateway_number"]
    if number is None or row["retired_at"] is not None:
        raise RequestError(f"device {device}: no gateway watches it", status=409, code="no-gateway")
    code = await _require_gateway(state, viewer, number)
    return await _found(state, number, code, "browse", {"device": device, "search": search})


@router.get("/gateways/{gateway}/certificates", summary="List certificates that equipment showed")
async def list_certificates(
    gateway: GatewayNumber,
    viewer: CurrentViewer,
    state: CurrentState,
    protocol: Annotated[Text, Query(max_length=100, description="A protocol.", examples=["opcua"])] = "opcua",
) -> CertificateList:
    """Certificates of servers, with what was decided about each; 503 when the gateway does not answer."""
    code = await _require_gateway(state, viewer, gateway)
    answer = await _ask(state, gateway, "certificates", {"protocol": protocol})
    try:
        items = [_certificate(one) for one in answer["certificates"]]
    except (KeyError, TypeError, ValueError) as error:
        raise _puzzling(code) from error
    return CertificateList(gateway=code, items=items)


@router.post("/gateways/{gateway}/certificates/{thumbprint}", summary="Trust or refuse a certificate")
async def decide(
    gateway: GatewayNumber,
    thumbprint: Thumbprint,
    question: DecideQuestion,
    viewer: WritingViewer,
    state: CurrentState,
) -> CertificateAnswer:
    """Decide about a certificate from now on. Who did is written down beside changes of the device book."""
    code = await _require_gateway(state, viewer, gateway)
    asked = {**question.model_dump(), "thumbprint": thumbprint.upper()}
    # nothing is decided that was not written down, and what the gateway refuses is not written down
    async with state.database.connection() as connection, connection.transaction():
        await ledger.record_decision(
            connection, gateway=code, **asked, actor=viewer.label, scope=viewer.enterprise
        )
        decided = await state.road.ask(subjects.request(gateway, "decide"), asked)
    try:
        return _certificate(decided["certificate"])
    except (KeyError, TypeError, ValueError) as error:
        raise _puzzling(code) from error


async def _require_gateway(state: State, viewer: Viewer, gateway: int) -> str:
    """Return the code of a gateway that obeys the viewer.

    Raises:
        RequestError: 404, there is none, or it belongs to others.
    """
    async with state.database.reading(viewer.enterprise) as reading:
        row = await reading.row("gateway", gateway=gateway)
    if row is None or viewer.enterprise not in (None, row["enterprise"]):
        raise not_found(f"gateway {gateway}")
    code: str = row["code"]
    return code


async def _found(state: State, gateway: int, code: str, verb: str, question: dict[str, Any]) -> FoundList:
    answer = await _ask(state, gateway, verb, question)
    try:
        return FoundList(gateway=code, items=[FoundAnswer(**one) for one in answer["found"]])
    except (KeyError, TypeError, ValueError) as error:
        raise _puzzling(code) from error


async def _ask(state: State, gateway: int, verb: str, question: dict[str, Any]) -> dict[str, Any]:
    return await state.road.ask(subjects.request(gateway, verb), question, _LONGEST_S)


def _certificate(told: dict[str, Any]) -> CertificateAnswer:
    moments = {name: to_datetime(told[name]) for name in ("not_before", "not_after", "seen")}
    return CertificateAnswer(**{**told, **moments})


def _puzzling(code: str) -> Unavailable:
    return Unavailable(f"gateway {code}: its answer is not understood")
