"""Where a run keeps its files: sockets, the embedded server's data, caches. Private to the user, and really to be written."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from crosstape.errors import StorageError
from crosstape.settings import RunSettings

PROBE: Final = bytes(4096)
"""What is written to see whether anything can be: a block, as file systems count."""


def run_dir(settings: RunSettings, environ: Mapping[str, str] | None = None, *, written: bool = True) -> Path:
    """The run directory, made with mode 0700 if it is not there; an absolute path. It takes a file, unless none will be `written`.

    Raises `StorageError` if it cannot be made or written, is another user's, or others may write to it: whoever can plant a socket or a
    cache there speaks to our services. What exists is never changed.
    """
    environ = os.environ if environ is None else environ
    path = Path(settings.dir).expanduser() if settings.dir else _state_home(environ) / "crosstape"
    path = path.absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.stat()
    except OSError as exc:
        raise StorageError(f"run.dir = {path}: cannot be made: {exc.strerror}") from exc
    if found.st_uid != os.geteuid():
        raise StorageError(f"run.dir = {path}: belongs to another user ({found.st_uid}; we are {os.geteuid()})")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StorageError(f"run.dir = {path}: others may write to it; choose a directory of your own, or chmod 700")
    if written:
        try:
            try_to_write(path)
        except OSError as exc:
            raise StorageError(f"run.dir = {path}: cannot be written: {exc.strerror}") from exc
    return path


def try_to_write(directory: Path) -> None:
    """Write a small file there, to the disk itself, and remove it. Raises `OSError`.

    Permissions do not tell whether that works: a disk may be full, a quota used up, a mount read-only.
    """
    number, name = tempfile.mkstemp(dir=directory, prefix=".probe-")  # containers that share a directory may share process ids
    try:
        if os.write(number, PROBE) < len(PROBE):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(number)
    finally:
        os.close(number)
        Path(name).unlink(missing_ok=True)


def _state_home(environ: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME`, which counts only if absolute, or `~/.local/state`."""
    home = Path(environ.get("XDG_STATE_HOME", ""))
    return home if home.is_absolute() else Path.home() / ".local" / "state"
