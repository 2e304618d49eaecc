"""What a Sparkplug B payload holds (Sparkplug 3.0, chapter 6). Times are ms since 1970, UTC, as on the wire.

A metric's value is, by its datatype: int (the integers, and DateTime in ms), float, bool, str (String, Text, UUID),
bytes (Bytes, File), `DataSet`, `Template`, or a tuple of ints, floats, bools or texts for the arrays; None when there
is none.
"""

from enum import IntEnum
from typing import Any

import msgspec


class DataType(IntEnum):
    """The datatypes by their numbers on the wire."""

    UNKNOWN = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15
    DATASET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTYSET = 20
    PROPERTYSETLIST = 21
    INT8ARRAY = 22
    INT16ARRAY = 23
    INT32ARRAY = 24
    INT64ARRAY = 25
    UINT8ARRAY = 26
    UINT16ARRAY = 27
    UINT32ARRAY = 28
    UINT64ARRAY = 29
    FLOATARRAY = 30
    DOUBLEARRAY = 31
    BOOLEANARRAY = 32
    STRINGARRAY = 33
    DATETIMEARRAY = 34


class Property(msgspec.Struct):
    """One property of a metric; value as for metrics, or a `PropertySet`, or a list of them; None when null."""

    datatype: DataType
    value: Any


PropertySet = dict[str, Property]


class DataSet(msgspec.Struct):
    """A table: each row has a value (or None) for each column, of the column's type."""

    columns: list[str]
    types: list[DataType]
    rows: list[tuple[Any, ...]]


class Parameter(msgspec.Struct):
    """One parameter of a template."""

    name: str
    datatype: DataType
    value: Any


class MetaData(msgspec.Struct):
    """What is said of a metric's content, for files and parts of them; None where nothing is."""

    is_multi_part: bool | None = None
    content_type: str | None = None
    size: int | None = None
    seq: int | None = None
    file_name: str | None = None
    file_type: str | None = None
    md5: str | None = None
    description: str | None = None


class Metric(msgspec.Struct, gc=False):
    """One metric. A DATA message may leave out what its birth said: the name, when it has an alias, and the datatype.

    With datatype UNKNOWN the value is as it came: `typed` makes of it what the birth's datatype says.
    problem: why the value that came cannot be used, else empty.
    """

    name: str = ""
    alias: int | None = None
    datatype: DataType = DataType.UNKNOWN
    value: Any = None
    timestamp_ms: int | None = None
    is_historical: bool = False
    is_transient: bool = False
    is_null: bool = False
    properties: PropertySet = {}
    metadata: MetaData | None = None
    problem: str = ""


class Template(msgspec.Struct):
    """A definition of a template, or an instance of the one that `reference` names."""

    metrics: list[Metric]
    parameters: list[Parameter] = []
    version: str | None = None
    reference: str | None = None
    is_definition: bool = False


class Payload(msgspec.Struct):
    """One message's content; seq: 0 to 255, which NDEATH and commands do not have."""

    timestamp_ms: int | None = None
    metrics: list[Metric] = []
    seq: int | None = None
    uuid: str | None = None
    body: bytes | None = None
