"""Where a run keeps its files: sockets, the embedded server's data, caches. Private to the user or to a group, and really to be written."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from crosstape.errors import SettingsError, StorageError
from crosstape.paths import expanded
from crosstape.runtime.group_files import is_shared, make_directory
from crosstape.settings import RunSettings

PROBE: Final = bytes(4096)
"""What is written to see whether anything can be: a block, as file systems count."""

REMEDY: Final = "set run.dir (CROSSTAPE_RUN__DIR) to a directory that this user may write to"


def run_dir(settings: RunSettings, environ: Mapping[str, str] | None = None, *, written: bool = True) -> Path:
    """The run directory, an absolute path. It takes a file, unless none will be `written`.

    If it is not there it is made, with mode 0700, or in a directory that a group may write to for that group as well.

    It must be ours, or writable for a group that we are in, as volumes of container platforms are. Of one that everyone may write to, as
    `/tmp` or a Kubernetes `emptyDir`, we use a directory of our own within it. What exists is never changed.

    Raises `SettingsError` where none is set and there is no home directory; `StorageError` if the directory cannot be made or written, is
    another user's, or others may write to it: whoever can plant a socket or a cache there speaks to our services.
    """
    path = _chosen(settings, os.environ if environ is None else environ)
    found = _made(path)
    if found.st_mode & stat.S_IWOTH:
        path /= f"crosstape-{os.geteuid()}"
        found = _made(path)
    shared = is_shared(found)
    if found.st_uid != os.geteuid() and not shared:
        raise StorageError(
            f"run.dir = {path}: belongs to another user ({found.st_uid}; we are {os.geteuid()}, group {os.getegid()}); {REMEDY}"
        )
    if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and not shared):
        raise StorageError(f"run.dir = {path}: others may write to it; chmod go-w, or {REMEDY}")
    if written:
        try:
            try_to_write(path)
        except OSError as exc:
            raise StorageError(f"run.dir = {path}: cannot be written: {exc.strerror}{_remedy(exc)}") from exc
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


def _chosen(settings: RunSettings, environ: Mapping[str, str]) -> Path:
    """`run.dir`, or `crosstape` in `$XDG_STATE_HOME`, which counts only if absolute, or in `~/.local/state`."""
    state = Path(environ.get("XDG_STATE_HOME", ""))
    try:
        if settings.dir:
            return expanded(settings.dir).absolute()
        return (state if state.is_absolute() else expanded("~/.local/state").absolute()) / "crosstape"
    except ValueError as exc:
        if settings.dir:
            raise SettingsError(f"run.dir = {exc}") from exc
        raise SettingsError(f"run.dir is not set, and this user has no home directory (HOME): {REMEDY}") from exc


def _made(path: Path) -> os.stat_result:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        make_directory(path)
        return path.stat()
    except OSError as exc:
        raise StorageError(f"run.dir = {path}: cannot be made: {exc.strerror}{_remedy(exc)}") from exc


def _remedy(exc: OSError) -> str:
    """What to do about it, but for a disk that is full or broken: there, another directory is not the first thing to think of."""
    return "" if exc.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO} else f"; {REMEDY}"
