"""The catalogue of messages is one: the same keys and places in every language."""

import json
import string
from pathlib import Path

from muster.catalogue import LANGUAGES, say, texts

FOLDER = Path(__file__).parents[2] / "muster" / "messages"


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_language_has_the_same_keys_and_places() -> None:
    chinese, *others = (texts(language) for language in LANGUAGES)
    for other in others:
        assert sorted(other) == sorted(chinese)
        assert {key: places(text) for key, text in other.items()} == {
            key: places(text) for key, text in chinese.items()
        }


def test_the_files_are_sorted_by_key_and_say_no_key_twice() -> None:
    for path in sorted(FOLDER.glob("*.json")):
        pairs: list[tuple[str, str]] = json.loads(path.read_text("utf-8"), object_pairs_hook=list)
        keys = [key for key, _ in pairs]
        assert keys == sorted(set(keys)), path.name


def test_an_unknown_key_is_said_as_itself() -> None:
    assert say("no-such-key") == "no-such-key"
