"""The messages of a Sparkplug B payload as protobuf descriptors, written here: number, name and type of each field.

Fields of one value group (`value`) exclude one another. Everything is optional or repeated, with "not there" and "zero"
told apart, and repeated numbers are written one by one, as in protobuf's second syntax, which others use; but texts
must be UTF-8. Extensions are left in the unknown fields.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "muster.sparkplug"
_OWN = descriptor_pool.DescriptorPool()
_FIELD = descriptor_pb2.FieldDescriptorProto

_SCALARS: dict[str, int] = {
    "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
    "float": _FIELD.TYPE_FLOAT,
    "double": _FIELD.TYPE_DOUBLE,
    "bool": _FIELD.TYPE_BOOL,
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
}

Field = tuple[int, str, str]
"""Number, name, type: a scalar's word or a message's name, with `*` before it when repeated."""


def _values(first: int, *more: tuple[str, str]) -> list[Field]:
    """Return a value group's fields, numbered from `first`."""
    scalars = [
        ("int_value", "uint32"),
        ("long_value", "uint64"),
        ("float_value", "float"),
        ("double_value", "double"),
        ("boolean_value", "bool"),
        ("string_value", "string"),
        *more,
    ]
    return [(first + at, name, kind) for at, (name, kind) in enumerate(scalars)]


_MESSAGES: dict[str, tuple[list[Field], list[Field]]] = {
    "Payload": (
        [
            (1, "timestamp", "uint64"),
            (2, "metrics", "*Metric"),
            (3, "seq", "uint64"),
            (4, "uuid", "string"),
            (5, "body", "bytes"),
        ],
        [],
    ),
    "Metric": (
        [
            (1, "name", "string"),
            (2, "alias", "uint64"),
            (3, "timestamp", "uint64"),
            (4, "datatype", "uint32"),
            (5, "is_historical", "bool"),
            (6, "is_transient", "bool"),
            (7, "is_null", "bool"),
            (8, "metadata", "MetaData"),
            (9, "properties", "PropertySet"),
        ],
        _values(10, ("bytes_value", "bytes"), ("dataset_value", "DataSet"), ("template_value", "Template")),
    ),
    "MetaData": (
        [
            (1, "is_multi_part", "bool"),
            (2, "content_type", "string"),
            (3, "size", "uint64"),
            (4, "seq", "uint64"),
            (5, "file_name", "string"),
            (6, "file_type", "string"),
            (7, "md5", "string"),
            (8, "description", "string"),
        ],
        [],
    ),
    "PropertySet": ([(1, "keys", "*string"), (2, "values", "*PropertyValue")], []),
    "PropertySetList": ([(1, "propertyset", "*PropertySet")], []),
    "PropertyValue": (
        [(1, "type", "uint32"), (2, "is_null", "bool")],
        _values(3, ("propertyset_value", "PropertySet"), ("propertysets_value", "PropertySetList")),
    ),
    "DataSet": (
        [
            (1, "num_of_columns", "uint64"),
            (2, "columns", "*string"),
            (3, "types", "*uint32"),
            (4, "rows", "*Row"),
        ],
        [],
    ),
    "Row": ([(1, "elements", "*DataSetValue")], []),
    "DataSetValue": ([], _values(1)),
    "Template": (
        [
            (1, "version", "string"),
            (2, "metrics", "*Metric"),
            (3, "parameters", "*Parameter"),
            (4, "template_ref", "string"),
            (5, "is_definition", "bool"),
        ],
        [],
    ),
    "Parameter": ([(1, "name", "string"), (2, "type", "uint32")], _values(3)),
}
"""Message → its plain fields, and those of its value group."""


def _file() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="muster/sparkplug", package=_PACKAGE, syntax="editions")
    file.edition = descriptor_pb2.EDITION_2023
    file.options.features.repeated_field_encoding = descriptor_pb2.FeatureSet.EXPANDED
    for name, (plain, group) in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if group:
            message.oneof_decl.add(name="value")
        for number, field, kind in plain + group:
            one = message.field.add(name=field, number=number, label=_FIELD.LABEL_OPTIONAL)
            if kind.startswith("*"):
                one.label = _FIELD.LABEL_REPEATED
            kind = kind.removeprefix("*")
            if kind in _SCALARS:
                one.type = _SCALARS[kind]
            else:
                one.type, one.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            if (number, field, kind) in group:
                one.oneof_index = 0
    return file


_OWN.AddSerializedFile(_file().SerializeToString())


def message(name: str) -> Any:
    """Return the class of a message, such as `Payload`."""
    return message_factory.GetMessageClass(_OWN.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
