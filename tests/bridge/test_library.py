"""The library that only some installations have."""

from __future__ import annotations

import sys

import pytest
import structlog

from crosstape.errors import SettingsError
from crosstape_connector.bridge import library
from crosstape_connector.venues.ccxt.exchanges import known


class Module:
    """Stands for the library."""

    __version__ = "4.6.0"


def test_an_installation_without_the_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of the venue that needs it."""
    monkeypatch.setitem(sys.modules, "ccxt", None)
    monkeypatch.setitem(sys.modules, "ccxt.pro", None)

    with pytest.raises(SettingsError, match=r"^venues\.ccxt\.kraken: needs the library ccxt .*crosstape\[services,ccxt\]"):
        library.load("ccxt.kraken")


def test_another_version_than_the_tested_one_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is used all the same: a newer one may be what the exchange needs."""
    made = Module()
    monkeypatch.setitem(sys.modules, "ccxt", made)
    monkeypatch.setitem(sys.modules, "ccxt.pro", made)

    with structlog.testing.capture_logs() as logs:
        assert library.load("ccxt.kraken") is made

    (entry,) = logs
    assert (entry["event"], entry["library"], entry["tested"]) == ("bridge.other_version", "4.6.0", known().version)
