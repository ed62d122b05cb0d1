"""Imports the library, which only some installations have."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import structlog

from crosstape.errors import SettingsError
from crosstape_connector.venues.ccxt.exchanges import known

log = structlog.get_logger(__name__)


def load(venue: str) -> Any:
    """Return the library's module of streaming classes. Raises `SettingsError` if it is not installed.

    To import it takes a second and 110 MB, and changes how aiohttp unpacks data in this process.
    """
    try:
        library: Any = import_module("ccxt.pro")
    except ImportError as exc:
        raise SettingsError(
            f"venues.{venue}: needs the library ccxt ({exc}): install crosstape[services,ccxt] in an environment of its own, or use"
            " the bridge's image"
        ) from exc
    found, tested = str(import_module("ccxt").__version__), known().version
    if found != tested:
        log.warning("bridge.other_version", venue=venue, library=found, tested=tested)
    return library
