"""How roll-ups compare values: NaN is the largest, as PostgreSQL sorts it, and -0.0 is below 0.0. Pure."""

import numpy as np
from numpy.typing import NDArray

HUGE, TINY = 1e290, 1e-290
"""A mean over readings that are not all finite and below `HUGE` is NaN; readings within `TINY` weigh nothing in it."""
MAGNITUDE = np.int64(2**63 - 1)
_NAN = np.array(np.nan).view(np.int64)


def ranked_number(value: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return whole numbers that are in order as the values are; NaN is beyond infinity, on the side of its sign."""
    bits = value.view(np.int64)
    return bits ^ ((bits >> 63) & MAGNITUDE)


def ranked(value: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return whole numbers that are in order as the values are; every NaN is the same one, the largest."""
    found = ranked_number(value)
    found[np.isnan(value)] = _NAN
    return found


def unranked(ranked: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the values that these whole numbers stand for."""
    return (ranked ^ ((ranked >> 63) & MAGNITUDE)).view(np.float64)
