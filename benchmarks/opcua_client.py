"""The limit an OPC UA gateway is measured against: bare asyncua, one subscription per session, values thrown away.

Prints one JSON line: changes, and the CPU seconds (user and system) of this process while they came.
"""

import asyncio
import json
import sys
from typing import Any

from asyncua import Client, Node, ua

from benchmarks.opcua_server import node
from benchmarks.samples import own_cpu_s

SETTLE_S = 3.0


class Counter:
    """Counts the changes of all subscriptions."""

    changes = 0

    def datachange_notification(self, _node: Node, _value: object, _data: Any) -> None:
        """Count one change."""
        self.changes += 1


async def subscribe(sessions: int, devices: int, variables: int, port: int, seconds: int) -> None:
    """Open `sessions`, spread the devices over them, and count for `seconds`."""
    counter = Counter()
    clients = []
    for session in range(sessions):
        client = Client(f"opc.tcp://127.0.0.1:{port}")
        await client.connect()
        clients.append(client)
        subscription = await client.create_subscription(500, counter)
        nodes = [
            client.get_node(await _resolved(client, node(device, variable)))
            for device in range(session, devices, sessions)
            for variable in range(variables)
        ]
        await subscription.subscribe_data_change(nodes)
    await asyncio.sleep(SETTLE_S)
    before, counter.changes = own_cpu_s(), 0
    await asyncio.sleep(seconds)
    print(json.dumps({"changes": counter.changes, "cpu_s": own_cpu_s() - before}))
    for client in clients:
        await client.disconnect()


async def _resolved(client: Client, text: str) -> ua.NodeId:
    namespace, identifier = text.removeprefix("nsu=").split(";s=")
    return ua.NodeId(identifier, await client.get_namespace_index(namespace))


if __name__ == "__main__":
    asyncio.run(subscribe(*map(int, sys.argv[1:])))
