"""Sparkplug B payloads: what they hold (`model`), and their bytes (`codec`)."""

from muster.sparkplug.codec import decode, encode, typed
from muster.sparkplug.model import (
    DataSet,
    DataType,
    MetaData,
    Metric,
    Parameter,
    Payload,
    Property,
    PropertySet,
    Template,
)

__all__ = [
    "DataSet",
    "DataType",
    "MetaData",
    "Metric",
    "Parameter",
    "Payload",
    "Property",
    "PropertySet",
    "Template",
    "decode",
    "encode",
    "typed",
]
