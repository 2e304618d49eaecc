"""What the launcher says while it works: one line a step, Chinese first, English beside, on stderr."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

from muster.catalogue import say


def both(key: str, **facts: Any) -> str:
    """Return a text of the catalogue in both languages."""
    return f"{say(key, **facts)}  ·  {say(key, 'en', **facts)}"


def tell(key: str, **facts: Any) -> None:
    """Say one line."""
    print(both(key, **facts), file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(key: str, **facts: Any) -> Iterator[None]:
    """Say what begins, and when it is done how long it took."""
    print(f"  … {both(key, **facts)}", file=sys.stderr, end="", flush=True)
    begin = time.monotonic()
    try:
        yield
    except BaseException:
        print("  ✗", file=sys.stderr, flush=True)
        raise
    print(f"  ✓ {time.monotonic() - begin:.1f} s", file=sys.stderr, flush=True)
