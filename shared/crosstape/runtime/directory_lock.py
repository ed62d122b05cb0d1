"""A directory that one process has for itself, and a note of which one, for whoever comes second."""

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
"""In a run directory: held by the run that has it."""

REMEDY: Final = "stop it, or give this one its own directory (run.dir, CROSSTAPE_RUN__DIR)"


class DirectoryLock:
    """A lock on a file of the directory. The system lets go of it when the process ends, however that happens."""

    def __init__(self, path: Path) -> None:
        """`path` is the file; it stays when the lock is gone."""
        self._path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take it at once. Raises `DirectoryInUse`, which says who has it and what to do, and `OSError`."""
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
        """Let go of it; does nothing if it was not taken."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _ourselves() -> str:
    """Process, host and start, for a person on this host or on another that shares the directory."""
    command = " ".join(["crosstape", *sys.argv[1:]]) if Path(sys.argv[0]).name in {"crosstape", "__main__.py", "main.py"} else sys.argv[0]
    now = datetime.now(UTC)
    return f"process {os.getpid()} on {platform.node()}, since {now:%Y-%m-%d %H:%M:%S} UTC, {command[:100]}"


def _shown(note: bytes) -> str:
    """The note in brackets, without what a terminal should not be sent; nothing if its writer has not come so far."""
    text = "".join(letter for letter in note.decode(errors="replace").partition("\n")[0] if letter.isprintable())
    return f" ({text})" if text else ""
