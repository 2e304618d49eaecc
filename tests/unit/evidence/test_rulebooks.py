"""Rulebooks say what the guideline says, and refuse what they do not know."""

from importlib import resources

import pytest

from evidence.rulebooks import rulebooks
from evidence.rulebooks.rulebook import parse
from muster.device import DeviceClass
from muster.errors import ConfigError
from muster.presence import Definition

TEXT = resources.files("evidence.rulebooks").joinpath("chifeng-2026.toml").read_text("utf-8")


def test_the_guidelines_tiers_ask_for_500_100_and_50_devices() -> None:
    tiers = {tier.short: tier.devices for tier in rulebooks()["chifeng-2026"].tiers}
    assert tiers == {"区域级": 500, "行业级": 100, "企业级": 50}


def test_every_class_of_device_has_the_guidelines_label() -> None:
    labels = {each.id: each.label for each in rulebooks()["chifeng-2026"].classes}
    assert labels == dict(zip(DeviceClass, ("运行设备", "加工设备", "行走设备", "其他设备"), strict=True))


def test_a_rulebook_names_the_definition_of_presence_it_is_measured_by() -> None:
    assert rulebooks()["chifeng-2026"].presence == Definition()


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ('time_zone = "Asia/Shanghai"', 'time_zone = "Asia/Chifeng"', "time_zone"),
        ('definition = "presence-1"', 'definition = "presence-9"', "definition"),
        ("devices = 500", 'devices = "many"', "tiers.0.devices"),
        ("devices = 500", "devices = 500\ncolour = 1", "tiers.0.colour"),
        ("minutes = 60", "minutes = 0", "days.minutes"),
        ('id = "operating"', 'id = "sensor"', "classes.0.id"),
        ("[days]", "[days", "rulebook broken.toml"),
    ],
)
def test_a_mistake_in_a_rulebook_is_named(was: str, now: str, said: str) -> None:
    assert was in TEXT
    with pytest.raises(ConfigError, match=said):
        parse(TEXT.replace(was, now, 1), "broken.toml")
