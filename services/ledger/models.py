"""Device models and their tags: a step of understanding a book.

A book that lists tags of a model lists all of them. A tag's fields that the book does not speak of stay as
they are, by the tag's name.
"""

from typing import Any

import msgspec
from msgspec import UNSET

from services.ledger.document import Model, Tag
from services.ledger.owners import REFUSED, may_change, owner_of
from services.ledger.registered import ModelRow
from services.ledger.resolution import Resolution, merged

TAG_DEFAULTS: dict[str, Any] = {
    "label": "",
    "type": "",
    "address": None,
    "unit": "",
    "scale": 1.0,
    "offset": 0.0,
    "writable": False,
    "low": None,
    "high": None,
}


def resolve_models(resolution: Resolution) -> None:
    """Take up the models with their tags; tags alone change a model that is registered."""
    groups = _groups(resolution)
    listed = {entry.code for entry in resolution.book.models}
    for entry in resolution.book.models:
        if resolution.first_time("models", entry, entry.code):
            _model(resolution, entry, groups.get(entry.code))
    for code, group in groups.items():
        if code in listed or ("models", code) in resolution.book.broken:
            continue
        old = resolution.registered.models.get(code)
        if old is None:
            resolution.error("tags", group[0].row, "model", "book.unknown-model", value=code)
            resolution.book.broken.add(("models", code))
            continue
        tags = _tags(resolution, old, group)
        if tags is not None:
            _take(resolution, "tags", group[0].row, old, msgspec.structs.replace(old, tags=tags))


def _groups(resolution: Resolution) -> dict[str, list[Tag]]:
    broken = resolution.book.broken
    broken |= {("models", key[1]) for key in broken if key[0] == "tags" and len(key) > 1}
    groups: dict[str, list[Tag]] = {}
    for tag in resolution.book.tags:
        if resolution.first_time("tags", tag, tag.model, tag.name):
            groups.setdefault(tag.model, []).append(tag)
        else:
            broken.add(("models", tag.model))
    return groups


def _model(resolution: Resolution, entry: Model, group: list[Tag] | None) -> None:
    old = resolution.registered.models.get(entry.code)
    broken = ("models", entry.code) in resolution.book.broken
    if not resolution.whole("models", entry, new=old is None):
        broken = True
    owner = owner_of(resolution, "models", entry, old, resolution.registered.taken_models)
    if isinstance(entry.protocol, str) and entry.protocol and entry.protocol not in resolution.protocols:
        known = ", ".join(sorted(resolution.protocols))
        resolution.error(
            "models", entry.row, "protocol", "book.unknown-protocol", value=entry.protocol, known=known
        )
        broken = True
    if old is None and group is None and not broken:
        resolution.error("models", entry.row, "", "book.model-without-tags")
        broken = True
    tags = _tags(resolution, old, group) if group is not None else old.tags if old else []
    if broken or owner is REFUSED or tags is None:
        resolution.book.broken.add(("models", entry.code))
        return
    if entry.report_mode is None or (old is None and entry.report_mode is UNSET):
        protocol = entry.protocol if isinstance(entry.protocol, str) else old.protocol if old else ""
        entry = msgspec.structs.replace(entry, report_mode=resolution.protocols[protocol].report_mode.value)
    new = merged(ModelRow, old, entry, code=entry.code, enterprise=owner, tags=tags)
    _take(resolution, "models", entry.row, old, new)


def _take(resolution: Resolution, sheet: str, row: int, old: ModelRow | None, new: ModelRow) -> None:
    if not may_change(resolution, sheet, row, new.code, old, new):
        return
    if resolution.keep("models", new.code, old, new, resolution.models, new.code):
        resolution.writes.models.append(new)
        if old is not None:
            resolution.changed_models[new.code] = row


def _tags(resolution: Resolution, old: ModelRow | None, group: list[Tag]) -> list[dict[str, Any]] | None:
    """Return the model's tags as they are kept, None when one of them is wrong."""
    before = {tag["name"]: tag for tag in old.tags} if old else {}
    tags: list[dict[str, Any]] = []
    for entry in group:
        known = before.get(entry.name)
        whole = resolution.whole("tags", entry, new=known is None)
        tag: dict[str, Any] = {"name": entry.name}
        for field, default in TAG_DEFAULTS.items():
            said = getattr(entry, field)
            tag[field] = (known or {}).get(field, default) if said is UNSET else said
        low, high = tag["low"], tag["high"]
        if low is not None and high is not None and low > high:
            resolution.error("tags", entry.row, "low", "book.low-above-high", low=low, high=high)
            whole = False
        if whole:
            tags.append(tag)
    return tags if len(tags) == len(group) else None
