"""The installation file in the README is one that the program reads."""

import re
import tomllib
from pathlib import Path

from deploy.site import Site

README = Path(__file__).parents[2] / "deploy" / "README.md"


def test_the_sample_installation_is_understood_and_names_every_table() -> None:
    (sample,) = re.findall(r"```toml\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    site = Site.model_validate(tomllib.loads(sample))
    assert {name for name, value in site if value is None} == set()
