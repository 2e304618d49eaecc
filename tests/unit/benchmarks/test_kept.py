"""The arithmetic that tells whether anything was lost."""

import json
from pathlib import Path

import numpy as np

from benchmarks.gateway import missing as missing_counts
from benchmarks.headline import headline
from benchmarks.kills import SLACK_US, missing
from benchmarks.telegraf import counted

SECOND_US = 1_000_000


def answers(*rows: tuple[int, int, int]) -> np.ndarray:
    return np.array(rows, np.int64).reshape(-1, 3)


def test_a_hole_in_the_counts_of_one_device_is_missing_and_another_devices_counts_do_not_fill_it() -> None:
    device = np.array([1, 2, 1, 2, 1], np.int32)
    count = np.array([5.0, 6.0, 8.0, 7.0, 5.0])
    assert missing_counts(device, count) == 2
    assert missing_counts(device, 20 * count, 20.0) == 2


def test_an_answer_without_a_row_is_listed_only_by_a_gap_of_its_device_partition_and_time() -> None:
    given = answers((1, 1, SECOND_US), (2, 1, SECOND_US), (5, 9, 9 * SECOND_US))
    rows = np.array([[5, 9]], np.int64)
    gaps = [(None, 1, SECOND_US + SLACK_US, 2 * SECOND_US), (2, None, 5 * SECOND_US, 6 * SECOND_US)]
    lost = missing(given, rows, gaps)
    assert lost.device.tolist() == [1, 2]
    assert lost.listed.tolist() == [True, False]


def test_what_telegraf_says_of_another_plugin_is_not_counted(tmp_path: Path) -> None:
    counts = tmp_path / "counts.json"
    said = [
        {
            "tags": {"input": "modbus"},
            "timestamp": 1500,
            "fields": {"metrics_gathered": 7, "gather_errors": 1},
        },
        {"tags": {"input": "internal"}, "timestamp": 1500, "fields": {"metrics_gathered": 99}},
    ]
    counts.write_text("".join(json.dumps(one) + "\n" for one in said))
    assert list(counted(counts, "modbus")) == [(1.5, 7, 1)]


def test_a_curve_that_did_not_keep_up_counts_as_far_as_it_did() -> None:
    curve = {
        "100": {"kept_up": True},
        "520": {"kept_up": True},
        "2000": {"kept_up": False},
        "ended": "at 2000",
    }
    assert headline({"growth": {"road": curve}})["growth_kept_up"] == {"road": 520}
