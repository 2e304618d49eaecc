"""The one catalogue of messages: every text a person reads, in Chinese and in English, by key.

The console reads the same two files. A key is kebab-case words, a dot between area and message; texts hold
`{named}` places and are never glued together.
"""

import json
from functools import cache
from importlib import resources
from typing import Any, Literal

Language = Literal["zh-CN", "en"]
LANGUAGES: tuple[Language, ...] = ("zh-CN", "en")


@cache
def texts(language: Language) -> dict[str, str]:
    """Return every text of `language`, by key."""
    source = resources.files("muster").joinpath("messages", f"{language}.json")
    catalogue: dict[str, str] = json.loads(source.read_text("utf-8"))
    return catalogue


def say(key: str, language: Language = "zh-CN", **facts: Any) -> str:
    """Return the text of `key` with its places filled; an unknown key is said as itself, with its facts.

    Raises:
        KeyError: the text has a place that `facts` does not fill.
    """
    text = texts(language).get(key)
    if text is None:
        return f"{key} {facts}" if facts else key
    return text.format_map(facts)
