"""The drawing of the benchmarks' history."""

import json
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.plot import FIGURES, svg

CIRCLE = "{http://www.w3.org/2000/svg}circle"


def test_without_a_history_every_chart_says_so(tmp_path: Path) -> None:
    drawn = svg(tmp_path / "none.jsonl")
    ElementTree.fromstring(drawn)
    assert drawn.count("never measured") == len(FIGURES)


def test_each_run_is_a_dot_in_the_charts_of_what_it_measured(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    runs = [{"at": "A<1", "mqtt_ratio": 1.0}, {"at": "2", "mqtt_ratio": 0.0, "opcua_ratio": 3.0}]
    history.write_text("".join(json.dumps(run) + "\n" for run in runs))
    dots = list(ElementTree.fromstring(svg(history)).iter(CIRCLE))
    assert [dot[0].text for dot in dots] == ["2: 3", "A<1: 1", "2: 0"]


def test_growth_is_drawn_by_its_newest_points_and_says_which_did_not_keep_up(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    old = {"100": {"cores": {"a": 9.0}, "kept_up": True}, "ended": "there"}
    new = {
        "100": {"cores": {"a": 0.1, "b": 0.2}, "kept_up": True},
        "520": {"cores": {"a": 1.0}, "kept_up": False},
    }
    runs = [{"at": "1", "growth": {"road": old}}, {"at": "2", "growth": {"road": new}}]
    history.write_text("".join(json.dumps(run) + "\n" for run in runs))
    dots = list(ElementTree.fromstring(svg(history)).iter(CIRCLE))
    assert [(dot[0].text, dot.get("fill")) for dot in dots] == [("100: 0.3", "#0b6"), ("520: 1", "#c22")]
