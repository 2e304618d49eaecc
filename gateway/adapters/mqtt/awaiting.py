"""Waiting for what a device that cannot be asked says next."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.adapter import Value
from muster.device import Tag

Watchers = list[Callable[[list[Value]], None]]
"""Told of the values of each live message of a device."""


async def next_values(watchers: Watchers, positions: list[int], within_s: float) -> list[Value]:
    """Wait for live values of tags; return those that came within the time."""
    wanted = set(positions)
    found: dict[int, Value] = {}
    complete = asyncio.Event()

    def told(values: list[Value]) -> None:
        found.update({one.position: one for one in values if one.position in wanted})
        if len(found) == len(wanted):
            complete.set()

    watchers.append(told)
    try:
        async with asyncio.timeout(within_s):
            await complete.wait()
    except TimeoutError:
        pass
    finally:
        watchers.remove(told)
    return [found[position] for position in positions if position in found]


@contextmanager
def read_back(watchers: Watchers, tag: Tag, written: float | str) -> Iterator["asyncio.Future[Value]"]:
    """Give what becomes the tag's value once the device sends it as written."""
    confirmed: asyncio.Future[Value] = asyncio.get_running_loop().create_future()

    def came(values: list[Value]) -> None:
        for one in values:
            if one.position == tag.position and not confirmed.done() and _same(one.value, written, tag):
                confirmed.set_result(one)

    watchers.append(came)
    try:
        yield confirmed
    finally:
        watchers.remove(came)


def _same(read: float | str | None, written: float | str, tag: Tag) -> bool:
    if tag.type != "string" and read is not None and not isinstance(read, str):
        number = float(written)
        step = abs(tag.scale) if tag.type.startswith(("int", "uint")) else 1e-6 * max(1.0, abs(number))
        return abs(read - number) <= step / 2 + 1e-12
    return str(read) == str(written)
