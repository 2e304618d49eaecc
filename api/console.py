"""The built console as static files: hashed assets for ever, the page itself never from a cache.

Any path that is no file is the page, because the console routes by path; a missing asset is a missing asset.
"""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

_FOREVER = "public, max-age=31536000, immutable"
_FRESH = "no-cache"


def console(folder: Path) -> APIRouter:
    """Return the route that serves the console built into `folder`."""
    root = folder.resolve()
    page = root / "index.html"
    router = APIRouter(include_in_schema=False)

    @router.api_route("/{path:path}", methods=["GET", "HEAD"])
    async def serve(path: str, request: Request) -> Response:
        if path.startswith("api/"):
            raise HTTPException(404, "no such path in the API")
        file = _file(root, path)
        if file is not None:
            return FileResponse(file, headers={"Cache-Control": _FOREVER if _hashed(path) else _FRESH})
        if _hashed(path) or not page.is_file():
            raise HTTPException(404, "no such file")
        return FileResponse(page, headers={"Cache-Control": _FRESH})

    return router


def _file(root: Path, path: str) -> Path | None:
    """Return the file at `path` below `root`, None when there is none or it lies elsewhere."""
    try:
        file = (root / path).resolve()
    except (OSError, ValueError):
        return None
    return file if file.is_relative_to(root) and file.is_file() else None


def _hashed(path: str) -> bool:
    return path.startswith("assets/")
