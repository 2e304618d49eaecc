"""The day of the demo's data holds what every device's machine shows, second by second."""

import numpy as np

from benchmarks.day import EVERY_H, day
from muster.clock import SECOND_US
from muster.scans import Scans


def test_a_day_holds_a_scan_of_each_device_and_second() -> None:
    found = list(day(3, devices=40))
    scans = Scans.concatenate([part for part, _ in found])
    instants = 24 // EVERY_H * 3
    assert np.bincount(scans.device).tolist() == [0, *[instants] * 40]
    for device in range(1, 41):
        own = np.sort(scans.time[scans.device == device])
        assert np.all(np.diff(own) > 0.9 * SECOND_US)
        assert own[-1] - own[0] > 20 * 3600 * SECOND_US


def test_the_scans_of_a_batch_are_of_one_partition_and_half_a_second() -> None:
    (scans, batch), *_ = day(3, devices=40)
    for number in np.unique(batch):
        own = batch == number
        assert len(set((scans.device[own] % 4).tolist())) == 1
        assert np.ptp(scans.received[own]) < SECOND_US // 2


def test_values_move_while_machines_run() -> None:
    (scans, _), *_ = day(5, devices=40)
    running = np.stack([scans.value[a:b][:1] for a, b in zip(scans.offsets, scans.offsets[1:], strict=False)])
    assert np.isfinite(scans.value).all()
    assert len(np.unique(scans.value)) > len(running)
