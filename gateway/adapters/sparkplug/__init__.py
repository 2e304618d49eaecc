"""Sparkplug B: edge nodes and their devices, heard as a host application through any broker."""

from gateway.adapter import Description
from gateway.adapters.sparkplug.config import TYPES, Address, Connection, check, endpoint
from gateway.adapters.sparkplug.room import SparkplugRoom
from muster.device import ReportMode

DESCRIPTION = Description(
    name="sparkplug",
    family="MQTT",
    connection=Connection,
    address=Address,
    types=TYPES,
    endpoint=endpoint,
    create=SparkplugRoom,
    check=check,
    report_mode=ReportMode.ON_CHANGE,
)
