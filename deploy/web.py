"""Asking the installation's own HTTP endpoints on this machine."""

import json
import urllib.error
import urllib.request
from typing import Any


def fetch(url: str) -> dict[str, Any] | None:
    """Return the JSON object at a local address, whatever its status says; None when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return _object(answer.read())
    except urllib.error.HTTPError as error:
        return _object(error.read())
    except OSError:
        return None


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
