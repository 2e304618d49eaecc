"""What is fuzzed: each decoder that reads what others send, with what must hold of whatever it makes of any bytes.

A target takes bytes and returns; an AssertionError, or any error that the decoder does not name, is what a fuzzer
looks for. `SEEDS` are whole messages to begin from.
"""

from collections.abc import Callable

from tests.fuzz import documents, messages, modbus, mqtt, opcua

Target = Callable[[bytes], None]
TARGETS: dict[str, Target] = {
    "modbus-pdu": modbus.pdu,
    "modbus-mbap": modbus.mbap,
    "modbus-rtu": modbus.rtu,
    "mqtt-packets": mqtt.packets,
    "mqtt-mapping": mqtt.mapping,
    "sparkplug": messages.sparkplug,
    "opcua-notification": opcua.notification,
    "opcua-value": opcua.value,
    "documents": documents.device,
    "connections": documents.connection,
    "envelope": messages.envelope,
}
SEEDS: dict[str, list[bytes]] = {
    "modbus-pdu": modbus.PDUS,
    "modbus-mbap": modbus.FRAMES,
    "modbus-rtu": modbus.RTU_FRAMES,
    "mqtt-packets": mqtt.PACKETS,
    "mqtt-mapping": mqtt.PAYLOADS,
    "sparkplug": messages.PAYLOADS,
    "opcua-notification": opcua.NOTIFICATIONS,
    "opcua-value": opcua.VALUES,
    "documents": documents.DEVICES,
    "connections": documents.CONNECTIONS,
    "envelope": messages.BATCHES,
}
