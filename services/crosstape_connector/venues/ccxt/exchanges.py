"""The exchanges that the library ccxt streams from, as its pinned version describes itself: `exchanges.json`, which `make ccxt` writes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

import msgspec


class Exchange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One streaming class of the library, and what it says that it can do. Nothing of it is tested at the exchange."""

    name: str
    """The exchange's own name."""
    methods: tuple[str, ...]
    """Its streams: `trades`, `ticker`, `bidsasks`, `book`, `ohlcv`."""
    markets: tuple[str, ...]
    """Kinds of markets: `spot`, `swap`, `future`, `option`."""
    timeframes: Mapping[str, str] = {}
    """Its candles: the library's timeframe → the exchange's."""
    ws: str
    """A WebSocket address of it; empty: it is known only at run time."""
    rest: str
    test_ws: str = ""
    """The same of its test environment; empty: it has none."""
    test_rest: str = ""


class Exchanges(msgspec.Struct, frozen=True):
    """The library's version, and its exchanges by class."""

    version: str
    exchanges: dict[str, Exchange]


@lru_cache(maxsize=1)
def known() -> Exchanges:
    """Return the list that was generated from the library's pinned version."""
    return msgspec.json.decode(files(__package__).joinpath("exchanges.json").read_bytes(), type=Exchanges)
