"""Pages of lists: an opaque cursor says where the next page begins.

It holds the sort key of the last item, so that a page stays right while rows come and go, and the name of its
list, so that it cannot be used for another.
"""

import base64
import binascii
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Query

from api.problems import FieldProblem

T = TypeVar("T")
Cursor = Annotated[
    str | None,
    Query(max_length=500, description="`next` of the page before.", examples=["WyJkZXZpY2VzIiwxN10"]),
]
Limit = Annotated[int, Query(ge=1, le=500, description="Items on a page.", examples=[100])]


def pack(listed: str, key: Any) -> str:
    """Return the cursor that goes on after `key` in the list called `listed`."""
    return base64.urlsafe_b64encode(msgspec.json.encode([listed, key])).decode().rstrip("=")


def unpack(cursor: str, listed: str, kind: type[T]) -> T:
    """Return the key in a cursor of the list called `listed`.

    Raises:
        FieldProblem: it is not a cursor of this list.
    """
    try:
        body = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        name, key = msgspec.json.decode(body, type=tuple[str, kind])  # type: ignore[valid-type]
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise FieldProblem("query.cursor", "it is not a cursor of this list", code="bad-cursor") from error
    if name != listed:
        raise FieldProblem("query.cursor", "it is a cursor of another list", code="bad-cursor")
    found: T = key
    return found
