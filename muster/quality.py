"""The quality of a reading: one small integer, 0 when Good, stored and sent as it is.

The three ranges follow the severities of OPC UA status codes (OPC 10000-4 §7.39): Good, Uncertain, Bad.
"""

from enum import IntEnum


class Quality(IntEnum):
    """What can be said of one value. Only GOOD makes a device connected."""

    GOOD = 0
    UNCERTAIN = 100
    BAD = 200
    NO_VALUE = 201  # the device says that it has no value for this tag
    OUT_OF_RANGE = 202  # outside the tag's limits, or not representable
    DEVICE_FAILURE = 203  # the device reports its own failure
    REFUSED = 204  # the device answered with a protocol error for this tag
    NOT_ANSWERED = 205  # nothing came for this tag although its neighbours came
    UNDECODABLE = 206  # bytes came that are not of the tag's type
