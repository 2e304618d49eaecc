"""An OPC UA server for the benchmarks: one object per device, every variable changing once a second.

All variables of one object change with one source timestamp. Objects change in turn within the second, as machines
that know nothing of one another do. Runs as a process of its own; prints its URL when it serves.
"""

import asyncio
import sys
from datetime import UTC, datetime

from asyncua import Server, ua

SLOTS = 20
NAMESPACE = "urn:muster:bench"


def node(device: int, variable: int) -> str:
    """Return the node id of a variable, its namespace by name."""
    return f"nsu={NAMESPACE};s=d{device}.v{variable}"


async def serve(devices: int, variables: int, port: int) -> None:
    """Serve until killed."""
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://0.0.0.0:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace(NAMESPACE)
    nodes: list[list[ua.NodeId]] = []
    for device in range(devices):
        holder = await server.nodes.objects.add_object(ua.NodeId(f"d{device}", index), f"{index}:d{device}")
        own = []
        for variable in range(variables):
            made = await holder.add_variable(
                ua.NodeId(f"d{device}.v{variable}", index), f"{index}:v{variable}", 0.0
            )
            own.append(made.nodeid)
        nodes.append(own)
    async with server:
        print(port, flush=True)
        loop = asyncio.get_running_loop()
        begin, count = loop.time(), 0
        while True:
            await asyncio.sleep(max(0.0, begin + count / SLOTS - loop.time()))
            now = datetime.now(UTC)
            for own in nodes[count % SLOTS :: SLOTS]:
                for number, nodeid in enumerate(own):
                    variant = ua.Variant(float(count + number), ua.VariantType.Double)
                    await server.write_attribute_value(
                        nodeid, ua.DataValue(variant, SourceTimestamp=now, ServerTimestamp=now)
                    )
            count += 1


if __name__ == "__main__":
    asyncio.run(serve(*map(int, sys.argv[1:])))
