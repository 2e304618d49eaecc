"""The OpenAPI document: 3.1, an example on every route that fits its own schema, nothing without words."""

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter

from api import models, openapi
from api.application import create_app
from api.models import book, counts, devices, discovery, live, operations, readings, rulebooks, session
from api.problems import ProblemAnswer
from api.settings import Settings

DOCUMENT: dict[str, Any] = create_app(Settings(port=0, database=""), {}).openapi()
MODELS = {
    name: model
    for module in (book, counts, devices, discovery, live, operations, readings, rulebooks, session)
    for name, model in vars(module).items()
} | {"ProblemAnswer": ProblemAnswer}
PROMISED = (
    "/api/v1/counts/devices",
    "/api/v1/counts/protocols",
    "/api/v1/devices",
    "/api/v1/devices/{device}",
    "/api/v1/devices/{device}/browse",
    "/api/v1/devices/{device}/presence",
    "/api/v1/devices/{device}/readings",
    "/api/v1/gaps",
    "/api/v1/gateways",
    "/api/v1/gateways/{gateway}/certificates",
    "/api/v1/gateways/{gateway}/certificates/{thumbprint}",
    "/api/v1/gateways/{gateway}/discover",
    "/live",
    "/healthz",
    "/metrics",
)


def operations_of() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


OPERATIONS = dict(operations_of())


def test_it_is_openapi_3_1_and_holds_every_promised_route() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    assert models.__doc__
    assert set(PROMISED) <= set(DOCUMENT["paths"])


def test_printing_it_needs_no_database() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api.openapi"], capture_output=True, text=True, check=True, timeout=60
    )
    assert '"openapi": "3.1.0"' in done.stdout
    assert openapi.__doc__


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_route_has_an_example_that_fits_its_schema(name: str) -> None:
    operation = OPERATIONS[name]
    succeeded = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
    if "204" in operation["responses"]:
        return
    assert succeeded["content"], name
    for media in succeeded["content"].values():
        assert media.get("example"), name
        reference = media["schema"].get("$ref", "").rpartition("/")[2]
        if reference:
            TypeAdapter(MODELS[reference]).validate_python(media["example"])


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_route_and_parameter_says_what_it_is(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation["summary"]
    assert operation["description"]
    for parameter in operation.get("parameters", []):
        assert parameter.get("description"), f"{name} {parameter['name']}"
        if parameter["in"] == "query":
            assert parameter.get("examples") or parameter["schema"].get("examples"), parameter["name"]


def test_every_error_is_documented_as_a_problem() -> None:
    for name, operation in OPERATIONS.items():
        for status, answer in operation["responses"].items():
            if status.startswith(("4", "5")):
                assert "application/problem+json" in answer["content"], f"{name} {status}"


def test_the_live_events_have_schemas() -> None:
    assert {"LiveCount", "LiveStates"} <= DOCUMENT["components"]["schemas"].keys()


def test_no_reference_leads_nowhere() -> None:
    known = DOCUMENT["components"]["schemas"]
    for reference in re.findall(r"#/components/schemas/([A-Za-z_0-9]+)", str(DOCUMENT)):
        assert reference in known
