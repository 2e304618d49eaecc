"""What every route shares: unknown parameters are refused, and an unchanged resource is not sent again."""

import hashlib
from collections import Counter
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from api.problems import ProblemAnswer

_PROBLEM = {"model": ProblemAnswer, "content": {"application/problem+json": {}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {**_PROBLEM, "description": "No token in force."},
    404: {**_PROBLEM, "description": "Not there, or not yours."},
    422: {**_PROBLEM, "description": "A parameter is not valid; `errors` names it."},
    503: {**_PROBLEM, "description": "Something this needs is away, or the answer takes too long."},
}


async def refuse_unknown(request: Request) -> None:
    """Refuse query parameters that the route does not know, and single ones given twice.

    Raises:
        RequestValidationError: there is such a parameter.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or not route.include_in_schema:
        return  # the console's pages keep their own state in the address
    known = {field.alias: field for field in route.dependant.query_params}
    given = Counter(name for name, _ in request.query_params.multi_items())
    errors = [
        {
            "loc": ("query", name),
            "msg": f"not a parameter here; known are {', '.join(sorted(known)) or 'none'}",
        }
        for name in given
        if name not in known
    ]
    errors += [
        {"loc": ("query", name), "msg": "given more than once"}
        for name, times in given.items()
        if times > 1 and name in known and not _is_list(known[name].field_info)
    ]
    if errors:
        raise RequestValidationError(errors)


def _is_list(field: FieldInfo) -> bool:
    return "list[" in str(field.annotation)


def router_of(tag: str, prefix: str = "") -> APIRouter:
    """Return a router whose routes answer with problems."""
    return APIRouter(prefix=prefix, tags=[tag], responses=PROBLEMS)


def tagged(request: Request, answer: BaseModel) -> Response:
    """Return the answer with its ETag, or 304 when the asker has it already (RFC 9110 §13.1.2)."""
    body = answer.model_dump_json().encode()
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:24]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    asked = request.headers.get("if-none-match", "")
    if asked.strip() == "*" or tag in {each.strip() for each in asked.split(",")}:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
