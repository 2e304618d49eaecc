"""The outbox's folder: who may work in it, the epoch, and small files written whole or not at all."""

import fcntl
import os
from pathlib import Path

from muster.clock import SECOND_US
from muster.errors import ConfigError
from muster.files import replace_file


class Folder:
    """A locked outbox folder. Two gateways can never work in one."""

    def __init__(self, path: Path) -> None:
        """Make and lock the folder. Raises ConfigError when it cannot be made or another process holds it."""
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"outbox_dir {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise ConfigError(f"outbox_dir {path}: another gateway process works in it") from error

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._lock)

    def next_epoch(self, last_known: int, now_us: int) -> int:
        """Return this start's epoch, durable before it is used.

        It is one more than the last. In a folder that remembers none (new, or lost with its disk) it is the
        time in seconds, so that it rises even then. Raises OSError.
        """
        epoch = max(self._written_epoch(), last_known) + 1
        if epoch == 1:
            epoch = max(1, now_us // SECOND_US)
        self.replace("epoch", b"%d\n" % epoch)
        return epoch

    def replace(self, name: str, content: bytes) -> None:
        """Make `name` hold `content`, durable; after a crash it holds the old or the new. Raises OSError."""
        replace_file(self.path / name, content)

    def _written_epoch(self) -> int:
        try:
            text = (self.path / "epoch").read_text("ascii").strip()
        except (FileNotFoundError, UnicodeDecodeError):
            return 0
        return int(text) if text.isdecimal() else 0
