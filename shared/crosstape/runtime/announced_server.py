"""Finds the server of a tape where no `bus.url` is set: the embedded one that `crosstape up` runs, and announces in its run directory."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from crosstape.errors import BusError, SettingsError, StorageError
from crosstape.runtime.group_files import share_with_group
from crosstape.runtime.run_dir import run_dir
from crosstape.settings import Settings

URL_FILE: Final = "bus.url"
"""File in the run directory that holds the url of the embedded server while it runs."""


def located(settings: Settings) -> Settings:
    """Returns the settings with a `bus.url`: their own, else that of the embedded server.

    Raises `BusError` if neither exists, and `SettingsError` as `check_embedded` does.
    """
    if settings.bus.url:
        return settings
    check_embedded(settings)
    directory = run_dir(settings.run, written=False)
    try:
        url = (directory / URL_FILE).read_text().strip()
        listens = _listens(url)
    except PermissionError as exc:
        owner = (directory / URL_FILE).stat().st_uid
        raise BusError(f"the server of `crosstape up` in {directory} is only for user {owner}, and we are {os.geteuid()}") from exc
    except OSError:
        listens = False
    if not listens:
        raise BusError(f"no server: bus.url is not set, and no `crosstape up` runs with {directory}")
    return with_url(settings, url)


def check_embedded(settings: Settings) -> None:
    """Raise `SettingsError` if credentials are set without a `bus.url`: the embedded server has none, and would silently ignore them."""
    for name in ("password", "username"):
        if getattr(settings.bus, name):
            raise SettingsError(f"bus.{name} is set, but bus.url is not: the embedded server has none; name your server, or leave it out")


def with_url(settings: Settings, url: str) -> Settings:
    """Returns the settings with `url` as `bus.url`."""
    return msgspec.structs.replace(settings, bus=msgspec.structs.replace(settings.bus, url=url))


@contextmanager
def announced(directory: Path, url: str) -> Iterator[None]:
    """Let other commands find the server at `url` for the length of the block (see `located`). Raises `StorageError`."""
    path = directory / URL_FILE
    try:
        path.unlink(missing_ok=True)  # left by a run that was killed; another user may own it, so it cannot always be overwritten
        path.write_text(f"{url}\n")
        share_with_group(path)
    except OSError as exc:
        raise StorageError(f"run.dir = {directory}: cannot be written: {exc.strerror}") from exc
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _listens(url: str) -> bool:
    """Whether a server listens on this unix socket. Raises `PermissionError` if we may not connect to it."""
    if not url.startswith("unix://"):
        return False
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            probe.connect(url.removeprefix("unix://"))
    except PermissionError:
        raise
    except OSError:
        return False
    return True
