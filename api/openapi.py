"""The OpenAPI 3.1 document, with an example on every route. `python -m api.openapi` prints it.

Examples stand once, at the models and the parameters; here they are put where documentation tools look for them.
"""

import json
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.models.live import LiveCount, LiveStates
from muster import __version__

_REFERENCE = "#/components/schemas/"
_TAGS = {
    "counts": "How many devices and protocols are connected, at any instant, as known at any later one.",
    "devices": "Devices and their presence.",
    "readings": "What devices sent, and how their gateways fare with them.",
    "operations": "Gateways, gaps, quarantine.",
    "discovery": "What equipment offers, and which certificates gateways trust.",
    "book": "Enterprises, and the device book as files.",
    "rulebooks": "Programmes as data.",
    "live": "The live stream.",
    "session": "Who is looking.",
    "health": "Health and metrics.",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the document of `app`."""
    document = get_openapi(
        title="Muster",
        version=__version__,
        summary="Roll-call for industrial equipment.",
        description=(
            "Times are RFC 3339 in UTC. Reasons are message keys of the catalogue. Errors are problems (RFC 9457) "
            "with a `code`. Lists come in pages; `next` is the `cursor` of the following one. Unknown parameters are "
            "refused. What a token may not see is as if it were not there."
        ),
        routes=app.routes,
        tags=[{"name": name, "description": words} for name, words in _TAGS.items()],
    )
    schemas: dict[str, Any] = document["components"]["schemas"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    _, live = models_json_schema(
        [(LiveCount, "serialization"), (LiveStates, "serialization")], ref_template=_REFERENCE + "{model}"
    )
    schemas.update({name: schema for name, schema in live["$defs"].items() if name not in schemas})
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": "muster_token"},
    }
    document["security"] = [{"token": []}, {"cookie": []}, {}]
    for model in _models(BaseModel):
        extra = model.model_config.get("json_schema_extra")
        if model.__name__ in schemas and isinstance(extra, dict):
            schemas[model.__name__] |= extra  # whole again: FastAPI leaves nulls out of examples
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _exemplify(path, operation, schemas)
    return document


def _models(root: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in root.__subclasses__():
        if model.__module__.startswith("api."):
            yield model
        yield from _models(model)


def _exemplify(path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    if path.endswith("/live"):
        events = [{"$ref": _REFERENCE + name} for name in ("LiveCount", "LiveStates")]
        operation["responses"]["200"]["content"] = {
            "text/event-stream": {
                "schema": {"type": "string", "contentSchema": {"oneOf": events}},
                "example": 'id: 5f2c-17\nevent: states\ndata: {"at":"2026-11-23T08:00:00Z","snapshot":true,…}\n\n',
            }
        }
    if path.endswith(("export.{format}", "template.xlsx")):
        operation["responses"]["200"]["content"] = {
            "application/octet-stream": {
                "schema": {"type": "string", "format": "binary"},
                "example": "devices: …",
            }
        }
    if path == "/metrics":
        operation["responses"]["200"]["content"] = {
            "text/plain": {"schema": {"type": "string"}, "example": "muster_live_viewers 1.0\n"}
        }
    for answer in operation["responses"].values():
        for media in answer.get("content", {}).values():
            _lift_example(media, schemas)
    for media in operation.get("requestBody", {}).get("content", {}).values():
        _lift_example(media, schemas)


def _lift_example(media: dict[str, Any], schemas: dict[str, Any]) -> None:
    reference = media.get("schema", {}).get("$ref", "")
    examples = schemas.get(reference.removeprefix(_REFERENCE), {}).get("examples")
    if examples:
        media["example"] = examples[0]


def main() -> None:
    """Print the document of an application that is not connected to anything."""
    from api.application import create_app
    from api.settings import Settings

    app = create_app(Settings(port=0, database=""), {})
    print(json.dumps(app.openapi(), ensure_ascii=False, indent=2))


if __name__ == "__main__":
    main()
