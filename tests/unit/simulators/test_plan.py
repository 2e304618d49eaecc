"""Who is where in a demo fleet."""

import pytest

from simulators.fleet.plan import WINDOW_LENGTH, endpoint_count, lay_out
from simulators.machines.kinds import KINDS


def test_520_devices_stand_behind_60_endpoints_at_twelve_enterprises() -> None:
    stations = lay_out(520, 1)
    assert endpoint_count(520) == 60 == len({station.endpoint for station in stations})
    assert len({station.enterprise.code for station in stations}) == 12
    assert {station.kind.code for station in stations} == set(KINDS)


def test_every_kind_has_about_ten_tags_and_what_can_be_controlled_has_limits() -> None:
    for kind in KINDS.values():
        assert 9 <= len(kind.points) <= 13
        assert len({point.name for point in kind.points}) == len(kind.points)
        for point in kind.settings:
            assert point.type == "bool" or (point.low is not None and point.high is not None)


@pytest.mark.parametrize("devices", [1, 12, 107, 520, 1500])
def test_codes_and_serial_numbers_are_distinct_and_no_two_devices_share_addresses(devices: int) -> None:
    stations = lay_out(devices, 3)
    assert len({station.code for station in stations}) == devices
    assert len({station.serial_number for station in stations}) == devices
    taken = set()
    for station in stations:
        taken.add((station.endpoint, station.unit, station.window or 0))
    assert len(taken) == devices
    assert all((station.window or 0) % WINDOW_LENGTH == 0 for station in stations)


def test_a_unit_is_one_devices_own_or_all_windows() -> None:
    kinds: dict[tuple[int, int], set[bool]] = {}
    for station in lay_out(520, 1):
        kinds.setdefault((station.endpoint, station.unit), set()).add(station.window is None)
    assert all(len(found) == 1 for found in kinds.values())


def test_a_fleet_is_the_beginning_of_every_larger_one() -> None:
    assert lay_out(1200, 5)[:90] == lay_out(90, 5)


def test_the_seed_decides_and_nothing_else() -> None:
    assert lay_out(300, 5) == lay_out(300, 5)
    assert lay_out(300, 5) != lay_out(300, 6)


def test_some_machines_stand_idle_but_never_a_meter() -> None:
    idle = [station for station in lay_out(520, 1) if station.idle]
    assert 5 <= len(idle) <= 60
    assert "sim-meter" not in {station.kind.code for station in idle}


def test_two_sites_of_an_enterprise_never_share_a_code() -> None:
    sites = {(s.enterprise.code, s.endpoint): s.site for s in lay_out(1500, 1)}
    assert len({(enterprise, site) for (enterprise, _), site in sites.items()}) == len(sites)
