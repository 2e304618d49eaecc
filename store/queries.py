"""SQL as SQL: statements kept in `.sql` files beside the module that runs them, each named and described.

-- name: oldest
-- What it gives, in one sentence.
select ...
"""

from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import LiteralString

_MARK = "-- name: "


def load(package: str, file: str) -> Mapping[str, LiteralString]:
    """Return the statements of `file` in `package`, by name.

    Raises:
        ValueError: a statement has no name, or a name occurs twice.
    """
    text = resources.files(package).joinpath(file).read_text("utf-8")
    preface, *blocks = ("\n" + text).split("\n" + _MARK)
    if any(line and not line.startswith("--") for line in preface.splitlines()):
        raise ValueError(f"{package}/{file}: a statement before the first name")
    statements: dict[str, LiteralString] = {}
    for block in blocks:
        name, _, body = block.partition("\n")
        if not name or name in statements:
            raise ValueError(f"{package}/{file}: the name {name!r} is empty or occurs twice")
        lines = [line for line in body.splitlines() if not line.startswith("--")]
        statements[name] = "\n".join(lines).strip().removesuffix(";")
    return MappingProxyType(statements)
