"""What equipment offers that is in no device book yet, and the certificates it showed to a gateway."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.models.base import Answer, Moment, example

_FOUND: dict[str, Any] = {
    "path": "Pump-1/Temperature",
    "name": "Temperature",
    "type": "float64",
    "address": {"node": "nsu=urn:acme:pumps;s=Pump-1.Temperature"},
    "group": "Pump-1",
    "unit": "°C",
    "writable": False,
    "value": 41.5,
    "interval_s": None,
    "note": "",
}
_CERTIFICATE: dict[str, Any] = {
    "thumbprint": "6F1A0C3B5D7E9F1A2B3C4D5E6F708192A3B4C5D6",
    "sha256": "0F1E2D3C4B5A69788796A5B4C3D2E1F00F1E2D3C4B5A69788796A5B4C3D2E1F0",
    "subject": "CN=pump-server",
    "issuer": "CN=pump-server",
    "uri": "urn:acme:pumps",
    "hosts": ["pump-server"],
    "not_before": "2026-01-01T00:00:00Z",
    "not_after": "2028-01-01T00:00:00Z",
    "state": "waiting",
    "endpoint": "opc.tcp://192.0.2.10:4840",
    "seen": "2026-11-23T08:00:00Z",
}


def _question(value: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [value]})


class DiscoverQuestion(BaseModel):
    """What to look at, from the gateway's side of the network."""

    model_config = _question(
        {
            "protocol": "opcua",
            "connection": {"url": "opc.tcp://192.0.2.10:4840"},
            "search": "Pump",
            "wait_s": 5.0,
        }
    )
    protocol: str = Field(max_length=100, description="As in a device's document.")
    connection: dict[str, Any] = Field(description="As in a device's document; passwords as files only.")
    search: str = Field(default="", max_length=200, description="Part of a path or name.")
    wait_s: float = Field(
        default=5.0, gt=0, le=25, description="Seconds to listen where equipment speaks unasked."
    )


class FoundAnswer(Answer):
    """One thing that equipment offers, ready to become a tag."""

    model_config = example(_FOUND)
    path: str = Field(description="Where it stands, for people.")
    name: str
    type: str = Field(description="As in a tag's document.")
    address: dict[str, Any] = Field(description="As in a tag's document.")
    group: str = Field(description="What belongs together: the object or topic that one device would be.")
    unit: str
    writable: bool
    value: float | str | None = Field(description="What it showed.")
    interval_s: float | None = Field(description="How often it came, where it comes unasked.")
    note: str = Field(description="Message key that says what is odd about it; empty when nothing is.")


class FoundList(Answer):
    """What was found."""

    model_config = example({"gateway": "demo-1", "items": [_FOUND]})
    gateway: str
    items: list[FoundAnswer]


class CertificateAnswer(Answer):
    """A certificate that equipment showed, and what was decided about it."""

    model_config = example(_CERTIFICATE)
    thumbprint: str = Field(description="SHA-1 of its DER form in hexadecimal, as OPC UA tools show it.")
    sha256: str
    subject: str
    issuer: str
    uri: str = Field(description="The application it names.")
    hosts: list[str]
    not_before: Moment
    not_after: Moment
    state: Literal["waiting", "trusted", "refused"]
    endpoint: str = Field(description="Where it was seen.")
    seen: Moment


class CertificateList(Answer):
    """The certificates that equipment showed to a gateway."""

    model_config = example({"gateway": "demo-1", "items": [_CERTIFICATE]})
    gateway: str
    items: list[CertificateAnswer]


class DecideQuestion(BaseModel):
    """Whether to trust a certificate from now on."""

    model_config = _question({"protocol": "opcua", "trust": True})
    protocol: str = Field(max_length=100, description="As in a device's document.")
    trust: bool
