"""Finds the directory of a run's files: sockets, the embedded server's data, caches. It is private to the user or to a group."""

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
"""Bytes that are written to see whether writing works: one block of a file system."""

REMEDY: Final = "set run.dir (CROSSTAPE_RUN__DIR) to a directory that this user may write to"


def run_dir(settings: RunSettings, environ: Mapping[str, str] | None = None, *, written: bool = True) -> Path:
    """Returns the run directory, an absolute path. Checks that files can be written there, unless none will be `written`.

    A directory that does not exist is made, with mode 0700; within a directory that a group may write to, that group may use it as well.

    It must be ours, or writable for a group that we are in, as volumes of container platforms are. Within one that everyone may write to,
    as `/tmp` or a Kubernetes `emptyDir`, we use a directory of our own. What exists is never changed.

    Raises `SettingsError` if none is set and there is no home directory; `StorageError` if the directory cannot be made or written, is
    another user's, or if others may write to it: they could put a socket or a cache there, and so talk to our services.
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
    """Write a small file there, force it to the disk, and remove it. Raises `OSError`.

    Permissions do not show whether that works: a disk may be full, a quota used up, a mount read-only.
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
    """Returns `run.dir`, or `crosstape` in `$XDG_STATE_HOME` (if that is absolute) or in `~/.local/state`."""
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
    """Says what to do about the error. Nothing for a disk that is full or broken: another directory is not the first remedy there."""
    return "" if exc.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO} else f"; {REMEDY}"
