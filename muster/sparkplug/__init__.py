"""Sparkplug B payloads: what they hold (`model`), their bytes (`codec`), and bytes of a known form (`forms`)."""

from muster.sparkplug.codec import decode, encode, typed
from muster.sparkplug.forms import Form, Numbers, Reader
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
    "Form",
    "MetaData",
    "Metric",
    "Numbers",
    "Parameter",
    "Payload",
    "Property",
    "PropertySet",
    "Reader",
    "Template",
    "decode",
    "encode",
    "typed",
]
