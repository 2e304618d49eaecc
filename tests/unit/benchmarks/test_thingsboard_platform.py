"""What stands in for ThingsBoard's platform counts values, not messages."""

from benchmarks.thingsboard_platform import values_in


def test_the_values_of_every_device_and_every_instant_are_counted() -> None:
    telemetry = {
        "d0": [{"ts": 1, "values": {"r0": 1, "r1": 2}}, {"ts": 2, "values": {"r0": 3}}],
        "d1": [{"ts": 1, "values": {"r0": 4}}],
        "d2": [],
    }
    assert values_in(telemetry) == 4
