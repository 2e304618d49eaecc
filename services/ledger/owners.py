"""Enterprises, their sites, and gateways with their keys: the first steps of understanding a book."""

import base64
import binascii
from typing import Any

from msgspec import UNSET

from bus.keys import public_key
from muster.errors import Rejected
from services.ledger.document import Gateway
from services.ledger.registered import EnterpriseRow, GatewayRow, SiteRow
from services.ledger.resolution import Resolution, differences, merged

REFUSED: Any = object()
"""Stands for an owner whose problem has been said."""


def resolve_enterprises(resolution: Resolution) -> None:
    """Take up the enterprises."""
    for entry in resolution.book.enterprises:
        scope, old = resolution.registered.scope, resolution.registered.enterprises.get(entry.code)
        if scope is not None and entry.code != scope:
            resolution.error("enterprises", entry.row, "code", "book.outside-scope", value=entry.code)
            continue
        if not resolution.first_time("enterprises", entry, entry.code):
            continue
        if not resolution.whole("enterprises", entry, new=old is None):
            resolution.book.broken.add(("enterprises", entry.code))
            continue
        new = merged(EnterpriseRow, old, entry, code=entry.code)
        if resolution.keep("enterprises", entry.code, old, new, resolution.enterprises, entry.code):
            resolution.writes.enterprises.append(new)


def resolve_sites(resolution: Resolution) -> None:
    """Take up the sites."""
    for entry in resolution.book.sites:
        name = (entry.enterprise, entry.code)
        old = resolution.registered.sites.get(name)
        if not resolution.within("sites", entry, entry.enterprise):
            resolution.book.broken.add(("sites", *name))
            continue
        if not resolution.first_time("sites", entry, *name):
            continue
        if not resolution.whole("sites", entry, new=old is None):
            resolution.book.broken.add(("sites", *name))
            continue
        new = merged(SiteRow, old, entry, enterprise=entry.enterprise, code=entry.code)
        if resolution.keep("sites", "/".join(name), old, new, resolution.sites, name):
            resolution.writes.sites.append(new)


def resolve_gateways(resolution: Resolution) -> None:
    """Take up the gateways and the keys they bring."""
    registered = resolution.registered
    for entry in resolution.book.gateways:
        old = registered.gateways.get(entry.code)
        if not resolution.first_time("gateways", entry, entry.code):
            continue
        owner = owner_of(resolution, "gateways", entry, old, registered.taken_gateways)
        if owner is REFUSED:
            resolution.book.broken.add(("gateways", entry.code))
            continue
        keys = list(old.keys) if old else []
        key = _public_key(resolution, entry)
        if key is not None and key not in keys:
            keys.append(key)
        name = old.name if old and entry.name is UNSET else entry.name
        new = GatewayRow(code=entry.code, name=name or entry.code, enterprise=owner, keys=keys)
        if not may_change(resolution, "gateways", entry.row, entry.code, old, new):
            continue
        if resolution.keep("gateways", entry.code, old, new, resolution.gateways, entry.code):
            resolution.writes.gateways.append(new)


def _public_key(resolution: Resolution, entry: Gateway) -> bytes | None:
    written = entry.public_key
    if not isinstance(written, str) or not written:
        return None
    try:
        key = base64.b64decode(written, validate=True)
        public_key(key)
    except (binascii.Error, ValueError, Rejected):
        resolution.error("gateways", entry.row, "public_key", "book.public-key-invalid")
        return None
    if key in resolution.registered.revoked_keys.get(entry.code, ()):
        resolution.error("gateways", entry.row, "public_key", "book.public-key-revoked")
        return None
    return key


def owner_of(resolution: Resolution, sheet: str, entry: Any, old: Any, taken: frozenset[str]) -> Any:
    """Return the enterprise that a gateway or model belongs to: None when shared, `REFUSED` when wrong.

    What is new and says nothing belongs to the enterprise whose book it is; the operator's is shared.
    """
    if old is None and entry.code in taken:
        resolution.error(sheet, entry.row, "code", "book.code-taken", value=entry.code)
        return REFUSED
    if entry.enterprise is UNSET:
        return old.enterprise if old else resolution.registered.scope
    owner = entry.enterprise or None
    if owner is not None and not resolution.within(sheet, entry, owner):
        return REFUSED
    if (
        old is not None
        and owner not in (None, old.enterprise)
        and _used_by_others(resolution, sheet, entry, owner)
    ):
        resolution.error(sheet, entry.row, "enterprise", "book.owner-fixed", value=entry.code)
        return REFUSED
    return owner


def _used_by_others(resolution: Resolution, sheet: str, entry: Any, owner: str) -> bool:
    field = "gateway" if sheet == "gateways" else "model"
    return any(
        getattr(device, field) == entry.code and device.enterprise != owner
        for device in resolution.registered.devices.values()
    )


def may_change(resolution: Resolution, sheet: str, row: int, code: str, old: Any, new: Any) -> bool:
    """Tell whether the book may hold this gateway or model: what is shared is the operator's alone."""
    shared = new.enterprise is None or (old is not None and old.enterprise is None)
    if resolution.registered.scope is None or not shared or (old is not None and not differences(old, new)):
        return True
    resolution.error(sheet, row, "code", "book.shared-not-yours", value=code)
    return False
