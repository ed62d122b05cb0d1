"""Where a run keeps its files: sockets, the embedded server's data, caches. Private to the user."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from crosstape.errors import SettingsError
from crosstape.settings import RunSettings


def run_dir(settings: RunSettings, environ: Mapping[str, str] | None = None) -> Path:
    """The run directory, made with mode 0700 if it is not there; an absolute path.

    Raises `SettingsError` if it cannot be made, is another user's, or others may write to it: whoever can plant a socket or a cache
    there speaks to our services. What exists is never changed.
    """
    environ = os.environ if environ is None else environ
    path = Path(settings.dir).expanduser() if settings.dir else _state_home(environ) / "crosstape"
    path = path.absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.stat()
    except OSError as exc:
        raise SettingsError(f"run.dir = {path}: cannot be made: {exc.strerror}") from exc
    if found.st_uid != os.geteuid():
        raise SettingsError(f"run.dir = {path}: belongs to another user")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingsError(f"run.dir = {path}: others may write to it; choose a directory of your own, or chmod 700")
    return path


def _state_home(environ: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME`, which counts only if absolute, or `~/.local/state`."""
    home = Path(environ.get("XDG_STATE_HOME", ""))
    return home if home.is_absolute() else Path.home() / ".local" / "state"
