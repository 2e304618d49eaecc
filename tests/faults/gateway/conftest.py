"""A site for the tests that kill its parts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.gateway.equipment import equipment
from tests.faults.gateway.road import (
    lay,
    put,
)
from tests.faults.gateway.works import DEVICES, GATEWAY, Process, Server, Site


@pytest.fixture
async def site(tmp_path: Path, free_port: int) -> AsyncIterator[Site]:
    server = Server(tmp_path, free_port)
    server.start()
    async with equipment() as machines:
        made = Site(machines, server, Process(tmp_path, server))
        client = await server.client()
        await lay(client)
        await put(client, GATEWAY, {number: machines.document(number) for number in DEVICES})
        await client.close()
        yield made
        for process in (made.gateway.process, server.process):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
