"""Sparkplug B payloads to bytes and back.

Implementations differ in what they put where, so reading is generous about the carrier and strict about the value: an
integer may stand in the 32-bit or the 64-bit field, a negative one in the two's complement of its own width or of its
field's (6.4.16); a value outside its datatype is a `problem` of that metric alone. Writing puts UInt32 into the 64-bit
field, as the reference implementation does, which older ones need and newer ones read.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError, EncodeError

from muster.errors import Rejected
from muster.sparkplug import plain
from muster.sparkplug.arrays import ARRAYS, pack, unpack
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
from muster.sparkplug.schema import message

_Payload = message("Payload")
_TYPES = list(DataType)
_SIGNED = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}
_UNSIGNED = {DataType.UINT8: 8, DataType.UINT16: 16, DataType.UINT32: 32, DataType.UINT64: 64}
_FLOATING = (DataType.FLOAT, DataType.DOUBLE)
_TEXTS = (DataType.STRING, DataType.TEXT, DataType.UUID)
_RAW = (DataType.BYTES, DataType.FILE)
_LONG = frozenset({DataType.INT64, DataType.UINT32, DataType.UINT64, DataType.DATETIME})
_DIRECT = {
    DataType.FLOAT: "float_value",
    DataType.DOUBLE: "double_value",
    DataType.BOOLEAN: "boolean_value",
    **dict.fromkeys(_TEXTS, "string_value"),
}
"""Where values stand that need no look at all."""
_DEEPEST = 8
QUALITY = "Quality"
"""The property that says what a value is worth."""
_META = MetaData.__struct_fields__


def decode(raw: bytes) -> Payload:
    """Return what a payload's bytes hold. Raises Rejected when they are no Sparkplug B payload."""
    found = plain.read(raw)
    return decode_any(raw) if found is None else found


def decode_any(raw: bytes) -> Payload:
    """Do the same by protobuf, whatever the payload's form. Raises Rejected."""
    try:
        found = _Payload.FromString(raw)
        return Payload(
            found.timestamp if found.HasField("timestamp") else None,
            [_metric(one, 0) for one in found.metrics],
            found.seq if found.HasField("seq") else None,
            found.uuid if found.HasField("uuid") else None,
            found.body if found.HasField("body") else None,
        )
    except (DecodeError, UnicodeDecodeError) as error:
        raise Rejected(f"no Sparkplug B payload: {error}") from error


def encode(payload: Payload) -> bytes:
    """Return a payload's bytes. Raises Rejected when a value is none of its datatype."""
    made = _Payload()
    try:
        for name, value in (
            ("timestamp", payload.timestamp_ms),
            ("seq", payload.seq),
            ("uuid", payload.uuid),
            ("body", payload.body),
        ):
            if value is not None:
                setattr(made, name, value)
        for metric in payload.metrics:
            _put_metric(made.metrics.add(), metric)
        raw: bytes = made.SerializeToString()
    except (ValueError, TypeError, OverflowError, EncodeError) as error:
        raise Rejected(f"cannot be a Sparkplug B payload: {error}") from error
    return raw


def typed(value: Any, datatype: DataType) -> Any:
    """Return a value that came without its datatype as what it is by `datatype`.

    Raises:
        Rejected: it is none of that datatype.
    """
    convert = _CONVERT.get(datatype)
    if convert is None:
        raise Rejected(f"a value cannot have the datatype {datatype.name}")
    return convert(value, datatype)


# Values.


def _integer(value: Any, datatype: DataType) -> int:
    if type(value) is not int:
        raise Rejected(f"{value!r:.40} is no {datatype.name}")
    bits = _SIGNED.get(datatype)
    if bits is None:
        if value >> _UNSIGNED[datatype]:
            raise Rejected(f"{value} is no {datatype.name}")
        return value
    half = 1 << (bits - 1)
    if value < half:
        return value
    for carrier in (bits, 32, 64):
        if (1 << carrier) - half <= value < 1 << carrier:
            return value - (1 << carrier)
    raise Rejected(f"{value} is no {datatype.name}")


def _of(*kinds: type) -> Callable[[Any, DataType], Any]:
    def convert(value: Any, datatype: DataType) -> Any:
        if type(value) not in kinds:
            raise Rejected(f"{value!r:.40} is no {datatype.name}")
        return value

    return convert


def _array(value: Any, datatype: DataType) -> tuple[Any, ...]:
    if type(value) is not bytes:
        raise Rejected(f"{value!r:.40} is no {datatype.name}")
    return unpack(value, datatype)


_CONVERT: dict[DataType, Callable[[Any, DataType], Any]] = {
    **dict.fromkeys((*_SIGNED, *_UNSIGNED), _integer),
    **dict.fromkeys(_FLOATING, _of(float)),
    **dict.fromkeys(_TEXTS, _of(str)),
    **dict.fromkeys(_RAW, _of(bytes)),
    **dict.fromkeys(ARRAYS, _array),
    DataType.BOOLEAN: _of(bool),
    DataType.DATETIME: _of(int),
    DataType.DATASET: _of(DataSet),
    DataType.TEMPLATE: _of(Template),
    DataType.PROPERTYSET: _of(dict),
    DataType.PROPERTYSETLIST: _of(list),
}
_SCALARS = (
    frozenset(_CONVERT)
    - ARRAYS
    - {
        DataType.DATASET,
        DataType.TEMPLATE,
        DataType.PROPERTYSET,
        DataType.PROPERTYSETLIST,
        *_RAW,
    }
)


# Reading.


def _type(number: int) -> DataType:
    if number >= len(_TYPES):
        raise Rejected(f"datatype {number} is none of Sparkplug B")
    return _TYPES[number]


def _metric(found: Any, depth: int) -> Metric:
    metric = Metric(
        found.name,
        found.alias if found.HasField("alias") else None,
        DataType.UNKNOWN,
        None,
        found.timestamp if found.HasField("timestamp") else None,
        found.is_historical,
        found.is_transient,
        found.is_null,
    )
    try:
        metric.datatype = datatype = _type(found.datatype)
        if found.HasField("properties"):
            metric.properties = _properties(found.properties, depth)
        if found.HasField("metadata"):
            said = found.metadata
            metric.metadata = MetaData(**{name: getattr(said, name) for name in _META if said.HasField(name)})
        carrier = None if metric.is_null else found.WhichOneof("value")
        if carrier is not None:
            value = getattr(found, carrier)
            if carrier == "dataset_value":
                value = _dataset(value)
            elif carrier == "template_value":
                value = _template(value, depth + 1)
            direct = carrier == _DIRECT.get(datatype) or datatype is DataType.UNKNOWN
            metric.value = value if direct else typed(value, datatype)
    except Rejected as error:
        metric.problem = str(error)
    return metric


def _scalar(found: Any, datatype: DataType) -> Any:
    """Return the value of a dataset's element or a parameter, None when there is none."""
    carrier = found.WhichOneof("value")
    if carrier is None:
        return None
    if datatype not in _SCALARS:
        raise Rejected(f"{datatype.name} cannot stand here")
    return typed(getattr(found, carrier), datatype)


def _dataset(found: Any) -> DataSet:
    columns, types = list(found.columns), [_type(one) for one in found.types]
    if not len(columns) == len(types) == found.num_of_columns:
        raise Rejected(f"a dataset of {found.num_of_columns} columns names {len(columns)}")
    rows = []
    for row in found.rows:
        if len(row.elements) != len(types):
            raise Rejected(f"a row of {len(row.elements)} in a dataset of {len(types)} columns")
        rows.append(tuple(_scalar(one, kind) for one, kind in zip(row.elements, types, strict=True)))
    return DataSet(columns, types, rows)


def _template(found: Any, depth: int) -> Template:
    if depth > _DEEPEST:
        raise Rejected("templates stand too deep in one another")
    return Template(
        [_metric(one, depth) for one in found.metrics],
        [Parameter(one.name, kind := _type(one.type), _scalar(one, kind)) for one in found.parameters],
        found.version if found.HasField("version") else None,
        found.template_ref if found.HasField("template_ref") else None,
        found.is_definition,
    )


def _properties(found: Any, depth: int) -> PropertySet:
    if depth > _DEEPEST:
        raise Rejected("properties stand too deep in one another")
    if len(found.keys) != len(found.values):
        raise Rejected(f"{len(found.keys)} keys of properties with {len(found.values)} values")
    properties: PropertySet = {}
    for key, one in zip(found.keys, found.values, strict=True):
        try:
            kind = _type(one.type)
            properties[key] = Property(kind, _property(one, kind, depth + 1))
        except Rejected:
            if key == QUALITY:  # what the value is worth cannot be told; any other is left out
                raise
    return properties


def _property(found: Any, datatype: DataType, depth: int) -> Any:
    carrier = None if found.is_null else found.WhichOneof("value")
    if carrier == "propertyset_value":
        value: Any = _properties(found.propertyset_value, depth)
    elif carrier == "propertysets_value":
        value = [_properties(one, depth) for one in found.propertysets_value.propertyset]
    else:
        value = None if carrier is None else getattr(found, carrier)
    if value is None or datatype is DataType.UNKNOWN:
        return value
    return typed(value, datatype)


# Writing.


def _put_metric(made: Any, metric: Metric) -> None:
    if metric.name:
        made.name = metric.name
    if metric.alias is not None:
        made.alias = metric.alias
    if metric.timestamp_ms is not None:
        made.timestamp = metric.timestamp_ms
    if metric.datatype:
        made.datatype = metric.datatype
    for flag in ("is_historical", "is_transient", "is_null"):
        if getattr(metric, flag):
            setattr(made, flag, True)
    if metric.properties:
        _put_properties(made.properties, metric.properties)
    if metric.metadata is not None:
        made.metadata.SetInParent()
        for name in _META:
            if (value := getattr(metric.metadata, name)) is not None:
                setattr(made.metadata, name, value)
    if metric.value is not None and not metric.is_null:
        _put_value(made, metric.datatype, metric.value)


def _put_value(made: Any, datatype: DataType, value: Any) -> None:
    if datatype in _SIGNED:
        half = 1 << (_SIGNED[datatype] - 1)
        if not -half <= value < half:
            raise Rejected(f"{value} is no {datatype.name}")
        if datatype in _LONG:
            made.long_value = value % (1 << 64)
        else:
            made.int_value = value % (1 << 32)
    elif datatype in _UNSIGNED or datatype is DataType.DATETIME:
        if not 0 <= value < 1 << _UNSIGNED.get(datatype, 64):
            raise Rejected(f"{value} is no {datatype.name}")
        if datatype in _LONG:
            made.long_value = value
        else:
            made.int_value = value
    elif datatype is DataType.FLOAT:
        made.float_value = value
    elif datatype is DataType.DOUBLE:
        made.double_value = value
    elif datatype is DataType.BOOLEAN:
        made.boolean_value = value
    elif datatype in _TEXTS:
        made.string_value = value
    elif datatype in _RAW:
        made.bytes_value = value
    elif datatype in ARRAYS:
        made.bytes_value = pack(value, datatype)
    elif datatype is DataType.DATASET:
        _put_dataset(made.dataset_value, value)
    elif datatype is DataType.TEMPLATE:
        _put_template(made.template_value, value)
    else:
        raise Rejected(f"a value cannot have the datatype {datatype.name}")


def _put_dataset(made: Any, table: DataSet) -> None:
    if len(table.columns) != len(table.types):
        raise Rejected("a dataset's columns and types differ in number")
    made.num_of_columns = len(table.columns)
    made.columns.extend(table.columns)
    made.types.extend(table.types)
    for row in table.rows:
        if len(row) != len(table.types):
            raise Rejected(f"a row of {len(row)} in a dataset of {len(table.types)} columns")
        elements = made.rows.add().elements
        for value, datatype in zip(row, table.types, strict=True):
            element = elements.add()
            if value is not None:
                _put_scalar(element, datatype, value)


def _put_scalar(made: Any, datatype: DataType, value: Any) -> None:
    if datatype not in _SCALARS:
        raise Rejected(f"{datatype.name} cannot stand here")
    _put_value(made, datatype, value)


def _put_template(made: Any, template: Template) -> None:
    made.SetInParent()
    if template.version is not None:
        made.version = template.version
    if template.reference is not None:
        made.template_ref = template.reference
    made.is_definition = template.is_definition
    for metric in template.metrics:
        _put_metric(made.metrics.add(), metric)
    for parameter in template.parameters:
        one = made.parameters.add(name=parameter.name, type=parameter.datatype)
        if parameter.value is not None:
            _put_scalar(one, parameter.datatype, parameter.value)


def _put_properties(made: Any, properties: PropertySet) -> None:
    made.SetInParent()
    for key, one in properties.items():
        made.keys.append(key)
        value = made.values.add(type=one.datatype)
        if one.value is None:
            value.is_null = True
        elif one.datatype is DataType.PROPERTYSET:
            _put_properties(value.propertyset_value, one.value)
        elif one.datatype is DataType.PROPERTYSETLIST:
            value.propertysets_value.SetInParent()
            for below in one.value:
                _put_properties(value.propertysets_value.propertyset.add(), below)
        else:
            _put_scalar(value, one.datatype, one.value)
