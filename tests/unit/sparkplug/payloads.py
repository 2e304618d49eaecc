"""Payloads of every shape, for property tests."""

from typing import Any

from hypothesis import strategies as st

from muster.sparkplug import DataSet, DataType, MetaData, Metric, Parameter, Payload, Property, Template

T = DataType
ALIAS = st.integers(0, 2**64 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
SINGLE = st.floats(width=32, allow_nan=False)
DOUBLE = st.floats(allow_nan=False)
WIDTHS = {"8": 8, "16": 16, "32": 32, "64": 64}
SCALARS: dict[DataType, st.SearchStrategy[Any]] = {
    **{T[f"INT{w}"]: st.integers(-(2 ** (b - 1)), 2 ** (b - 1) - 1) for w, b in WIDTHS.items()},
    **{T[f"UINT{w}"]: st.integers(0, 2**b - 1) for w, b in WIDTHS.items()},
    T.FLOAT: SINGLE,
    T.DOUBLE: DOUBLE,
    T.BOOLEAN: st.booleans(),
    T.STRING: TEXT,
    T.TEXT: TEXT,
    T.UUID: st.uuids().map(str),
    T.DATETIME: ALIAS,
}
ARRAYS: dict[DataType, st.SearchStrategy[Any]] = {
    T[f"{kind.name}ARRAY"]: st.lists(one, max_size=20).map(tuple)
    for kind, one in SCALARS.items()
    if kind not in (T.TEXT, T.UUID)
}


def scalar(kind: DataType) -> st.SearchStrategy[tuple[DataType, Any]]:
    return st.tuples(st.just(kind), SCALARS[kind])


ANY_SCALAR = st.sampled_from(list(SCALARS)).flatmap(scalar)
PROPERTY = st.recursive(
    st.one_of(ANY_SCALAR, ANY_SCALAR.map(lambda one: (one[0], None))).map(lambda one: Property(*one)),
    lambda below: st.one_of(
        st.dictionaries(TEXT, below, max_size=3).map(lambda one: Property(T.PROPERTYSET, one)),
        st.lists(st.dictionaries(TEXT, below, max_size=2), max_size=2).map(
            lambda one: Property(T.PROPERTYSETLIST, one)
        ),
    ),
    max_leaves=5,
)


@st.composite
def datasets(draw: st.DrawFn) -> DataSet:
    types = draw(st.lists(st.sampled_from(list(SCALARS)), max_size=4))
    row = st.tuples(*(st.none() | SCALARS[kind] for kind in types))
    columns = draw(st.lists(TEXT, min_size=len(types), max_size=len(types)))
    return DataSet(columns, types, draw(st.lists(row, max_size=3)))


def metrics(values: st.SearchStrategy[tuple[DataType, Any]]) -> st.SearchStrategy[Metric]:
    return st.builds(
        lambda value, null, **more: Metric(
            datatype=value[0], value=None if null else value[1], is_null=null, **more
        ),
        values,
        st.booleans(),
        name=TEXT,
        alias=st.none() | ALIAS,
        timestamp_ms=st.none() | ALIAS,
        is_historical=st.booleans(),
        is_transient=st.booleans(),
        properties=st.dictionaries(TEXT, PROPERTY, max_size=3),
        metadata=st.none()
        | st.builds(MetaData, st.none() | st.booleans(), st.none() | TEXT, st.none() | ALIAS),
    )


LEAF = st.one_of(
    ANY_SCALAR,
    st.sampled_from(list(ARRAYS)).flatmap(lambda kind: st.tuples(st.just(kind), ARRAYS[kind])),
    st.tuples(st.sampled_from([T.BYTES, T.FILE]), st.binary(max_size=20)),
    st.tuples(st.just(T.DATASET), datasets()),
)
TEMPLATE = st.builds(
    Template,
    st.lists(metrics(LEAF), max_size=2),
    st.lists(st.builds(lambda name, one: Parameter(name, *one), TEXT, ANY_SCALAR), max_size=2),
    st.none() | TEXT,
    st.none() | TEXT,
    st.booleans(),
)
METRIC = metrics(st.one_of(LEAF, st.tuples(st.just(T.TEMPLATE), TEMPLATE)))
PAYLOAD = st.builds(
    Payload,
    st.none() | ALIAS,
    st.lists(METRIC, max_size=4),
    st.none() | st.integers(0, 255),
    st.none() | TEXT,
    st.none() | st.binary(max_size=10),
)


@st.composite
def mutated(draw: st.DrawFn, raw: bytes) -> bytes:
    """Return bytes with a few of them changed, lost or added."""
    spoiled = bytearray(raw)
    for _ in range(draw(st.integers(1, 4))):
        if spoiled:
            at = draw(st.integers(0, len(spoiled) - 1))
            spoiled[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(spoiled)
