"""Records of device-minutes that are added one by one are those that all together give."""

from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from muster.minutes import RECORD, added, merged

FACTS = st.dictionaries(
    st.integers(1, 6),
    st.tuples(*[st.integers(0, 100)] * 4, *[st.integers(-(2**62), 2**62)] * 4),
    max_size=5,
)
ONE, OTHER = (1, 0, 10, 9, 5, 6, 7, 8), (2, 1, 3, 3, 1, 9, 2, 9)


def records(facts: dict[int, tuple[int, ...]]) -> NDArray[np.void]:
    made = np.zeros(len(facts), RECORD)
    names: tuple[Any, ...] = tuple(name for name in RECORD.names or () if name != "digest")
    for row, (device, each) in enumerate(sorted(facts.items())):
        for name, value in zip(names, (device, *each), strict=True):
            made[name][row] = value
    return made


@given(FACTS, FACTS)
@example({1: ONE, 2: ONE}, {1: OTHER, 2: OTHER})
@example({1: ONE, 2: ONE, 3: ONE}, {1: OTHER, 3: OTHER})
@example({1: ONE}, {2: ONE})
def test_two_parts_added_are_the_two_merged(
    facts: dict[int, tuple[int, ...]], more: dict[int, tuple[int, ...]]
) -> None:
    one, other = records(facts), records(more)
    before = one.tobytes()
    assert added(one, other).tobytes() == merged([one, other]).tobytes()
    assert one.tobytes() == before
