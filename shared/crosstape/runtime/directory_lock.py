"""Locks a directory for one process, and notes which process that is, for the next one that tries."""

from __future__ import annotations

import fcntl
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from crosstape.errors import DirectoryInUse
from crosstape.runtime.group_files import share_with_group

NOTE_MAX: Final = 300

RUN_LOCK: Final = "run.lock"
"""Name of the lock file in a run directory; the run that uses the directory holds it."""

REMEDY: Final = "stop it, or give this one its own directory (run.dir, CROSSTAPE_RUN__DIR)"


class DirectoryLock:
    """A lock on a file of the directory. The system releases it when the process ends, however that happens."""

    def __init__(self, path: Path) -> None:
        """`path` is the file. It stays when the lock is released."""
        self._path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        """Acquire the lock without waiting. Raises `DirectoryInUse`, which says who holds it and what to do, and `OSError`."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        share_with_group(self._path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{_ourselves()}\n".encode(), 0)
        except BlockingIOError:
            note = _shown(os.pread(fd, NOTE_MAX, 0))
            os.close(fd)
            raise DirectoryInUse(f"another run uses {self._path.parent}{note}: {REMEDY}") from None
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def release(self) -> None:
        """Release the lock; does nothing if it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _ourselves() -> str:
    """Describes this process: id, host, start. For a person on this host, or on another host that shares the directory."""
    command = " ".join(["crosstape", *sys.argv[1:]]) if Path(sys.argv[0]).name in {"crosstape", "__main__.py", "main.py"} else sys.argv[0]
    now = datetime.now(UTC)
    return f"process {os.getpid()} on {platform.node()}, since {now:%Y-%m-%d %H:%M:%S} UTC, {command[:100]}"


def _shown(note: bytes) -> str:
    """Returns the note in brackets, without control characters; nothing if its writer has not written it yet."""
    text = "".join(letter for letter in note.decode(errors="replace").partition("\n")[0] if letter.isprintable())
    return f" ({text})" if text else ""
