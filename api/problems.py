"""Every error as a problem (RFC 9457): `application/problem+json` with a code that a program can act on."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from pydantic import Field
from starlette.exceptions import HTTPException

from api.models.base import Answer, example
from muster.errors import ConfigError, RequestError, Unavailable
from store.connection import translate

_log = structlog.get_logger()
CONTENT_TYPE = "application/problem+json"
_TITLES = {
    400: "The request cannot be answered",
    401: "A token is needed",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Wrong content type",
    421: "Not served under this name",
    422: "The request is not valid",
    500: "Something is broken here",
    503: "Not available now",
}
_CODES = {
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "wrong-content-type",
}


class FieldError(Answer):
    """One field that is wrong, and how."""

    field: str = Field(description="Where it stands and its name, such as `query.at` or `body.token`.")
    message: str


class ProblemAnswer(Answer):
    """What went wrong, after RFC 9457."""

    model_config = example(
        {
            "type": "urn:muster:problem:in-the-future",
            "title": "The request is not valid",
            "status": 422,
            "detail": "at: 2027-01-01T00:00:00Z has not come yet",
            "instance": "/api/v1/counts/devices",
            "code": "in-the-future",
            "errors": [{"field": "query.at", "message": "2027-01-01T00:00:00Z has not come yet"}],
        }
    )
    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[FieldError]


class FieldProblem(RequestError):
    """One parameter that is understood but cannot be answered; named in the problem."""

    def __init__(self, field: str, message: str, *, code: str = "not-valid", status: int = 422) -> None:
        super().__init__(f"{field.partition('.')[2] or field}: {message}", status=status, code=code)
        self.field = field
        self.message = message


def problem(
    request: Request,
    status: int,
    detail: str,
    code: str = "",
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return the response for a problem."""
    code = code or _CODES.get(status, "not-answered")
    return JSONResponse(
        {
            "type": f"urn:muster:problem:{code}",
            "title": _TITLES.get(status, "The request cannot be answered"),
            "status": status,
            "detail": detail,
            "instance": request.url.path,
            "code": code,
            "errors": [dict(error) for error in errors],
        },
        status,
        headers,
        CONTENT_TYPE,
    )


def not_found(what: str) -> RequestError:
    """Return the error for something that is not there, or that the asker may not know of."""
    return RequestError(f"{what}: there is none, or it is not yours", status=404, code="not-found")


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestError)
    errors = [{"field": error.field, "message": error.message}] if isinstance(error, FieldProblem) else []
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
    return problem(request, error.status, str(error), error.code, errors, headers)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return problem(request, error.status_code, str(error.detail), headers=error.headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = [
        {"field": ".".join(str(part) for part in each["loc"]), "message": _words(each)}
        for each in error.errors()
    ]
    detail = "; ".join(f"{each['field']}: {each['message']}" for each in found)
    return problem(request, 422, detail, "not-valid", found)


def _words(error: Mapping[str, Any]) -> str:
    words = str(error["msg"])
    return words.removeprefix("Value error, ")


async def _away(request: Request, error: Exception) -> JSONResponse:
    return problem(request, 503, str(error), "unavailable", headers={"Retry-After": "2"})


async def _database(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, psycopg.errors.QueryCanceled):
        detail = "the answer takes too long to compute: ask for a shorter time or fewer devices"
        return problem(request, 503, detail, "too-slow")
    if isinstance(error, psycopg.DataError):
        return problem(request, 422, "a value is outside what can be stored", "not-valid")
    if isinstance(error, PoolTimeout):
        return await _away(request, Unavailable("database: every connection is busy"))
    assert isinstance(error, psycopg.Error)
    said = translate(error)
    if isinstance(said, Unavailable):
        return await _away(request, Unavailable("database: away, or refusing connections"))
    return await _broken(request, error)


async def _broken(request: Request, error: Exception) -> JSONResponse:
    _log.error("request-failed", path=request.url.path, error=repr(error), exc_info=error)
    return problem(request, 500, "an unexpected error; the log of the API has it", "broken")


def handle_problems(app: FastAPI) -> None:
    """Let `app` answer every error with a problem."""
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(Unavailable, _away)
    app.add_exception_handler(ConfigError, _broken)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(psycopg.Error, _database)
    app.add_exception_handler(PoolTimeout, _database)
    app.add_exception_handler(Exception, _broken)
