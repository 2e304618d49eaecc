"""Rulebooks: a programme's guideline as data."""

from typing import Any

from api.models.base import Answer, example

_RULEBOOK: dict[str, Any] = {
    "id": "chifeng-2026",
    "title": "赤峰市制造业数字化转型试点项目申报指南",
    "definition": "presence-1",
    "time_zone": "Asia/Shanghai",
    "days": {"minutes": 60, "least": 20, "of_days": 30},
    "tiers": [
        {
            "id": "regional",
            "label": "区域级工业互联网平台",
            "short": "区域级",
            "section": "二（一）1（2）",
            "text": "连接不少于500台工业设备",
            "devices": 500,
        }
    ],
    "classes": [{"id": "operating", "label": "运行设备"}],
}


class DaysRuleAnswer(Answer):
    """The rule of lasting connection: at least `minutes` minutes on at least `least` of `of_days` days."""

    minutes: int
    least: int
    of_days: int


class TierAnswer(Answer):
    """One tier of platform and the number of connected devices it asks for."""

    id: str
    label: str
    short: str
    section: str
    text: str
    devices: int


class ClassAnswer(Answer):
    """A class of industrial device as the guideline names it."""

    id: str
    label: str


class RulebookAnswer(Answer):
    """One programme: its tiers, its classes and the definition of presence it is measured by."""

    model_config = example(_RULEBOOK)
    id: str
    title: str
    definition: str
    time_zone: str
    days: DaysRuleAnswer
    tiers: list[TierAnswer]
    classes: list[ClassAnswer]


class RulebookList(Answer):
    """Every programme this installation knows."""

    model_config = example({"items": [_RULEBOOK]})
    items: list[RulebookAnswer]
