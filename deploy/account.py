"""The unprivileged account under which servers run that refuse to run as root, and what it can reach."""

import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from muster.errors import ConfigError

_CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group to run a child as; None where this process is not root and stays who it is."""

    name: str
    uid: int
    gid: int


def unprivileged() -> Account | None:
    """Return the account to drop to, or None when this process is not root.

    Raises:
        ConfigError: this is root and no unprivileged user exists to drop to.
    """
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise ConfigError(f"running as root needs one of the users {', '.join(_CANDIDATES)} for the database")


def give(path: Path, account: Account | None) -> None:
    """Make `path` and what is in it the account's own."""
    if account is None:
        return
    os.chown(path, account.uid, account.gid)
    if path.is_dir():
        for inner in path.iterdir():
            give(inner, account)


def barrier(path: Path, account: Account | None) -> Path | None:
    """Return the uppermost folder above `path` that lets no stranger pass, as a dropped account is one."""
    if account is None:
        return None
    above = reversed(path.resolve().parents)
    return next((folder for folder in above if not folder.stat().st_mode & stat.S_IXOTH), None)


def bring(folder: Path, into: Path, account: Account | None) -> Path:
    """Return `folder`, or a copy of it under `into` when the account cannot reach the original."""
    if barrier(folder / "x", account) is None:
        return folder
    copy = into / folder.name
    if not copy.exists():
        unfinished = into / f"{folder.name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(folder, unfinished, symlinks=True)
        unfinished.rename(copy)
    return copy
