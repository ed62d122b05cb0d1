"""Lists what each streaming class of the library says that it can do, as JSON on standard output: `venues/ccxt/exchanges.json`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import msgspec

from crosstape_connector.venues.ccxt.exchanges import Exchange, Exchanges

METHODS: Final = {
    "trades": "watchTrades",
    "ticker": "watchTicker",
    "bidsasks": "watchBidsAsks",
    "book": "watchOrderBook",
    "ohlcv": "watchOHLCV",
}
"""Our channel → the library's name of the method."""
MARKETS: Final = ("spot", "swap", "future", "option")


def encode(value: Any) -> str:
    """Return a value as one line of JSON."""
    return msgspec.json.encode(value).decode()


def described(pro: Any) -> Exchanges:
    """Return what all classes say of themselves."""
    version = str(import_module("ccxt").__version__)
    return Exchanges(version, {name: of_class(getattr(pro, name)()) for name in sorted(pro.exchanges)})


def of_class(made: Any) -> Exchange:
    """Return what an exchange object says of itself."""
    live = {key: value for key, value in made.urls.items() if key in ("api", "ws")}
    test = made.urls.get("test")
    return Exchange(
        name=str(made.name),
        methods=tuple(channel for channel, method in METHODS.items() if made.has.get(method) is True),
        markets=tuple(kind for kind in MARKETS if made.has.get(kind)),
        timeframes={key: str(value) for key, value in (made.timeframes or {}).items()},
        ws=_first(live, ("wss://", "ws://"), made.hostname),
        rest=_first(live, ("https://", "http://"), made.hostname),
        test_ws=_first(test, ("wss://", "ws://"), made.hostname),
        test_rest=_first(test, ("https://", "http://"), made.hostname),
    )


def _first(urls: Any, schemes: tuple[str, ...], hostname: str | None) -> str:
    """Return the first address with one of these schemes, those of private data last; empty: there is none."""
    found = (text.replace("{hostname}", hostname or "") for text in _texts(urls))
    return next((text for text in found if text.startswith(schemes) and "{" not in text), "")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key in sorted(value, key=lambda name: "private" in str(name).lower()):
            yield from _texts(value[key])


if __name__ == "__main__":
    found = described(import_module("ccxt.pro"))
    rows = [f" {encode(name)}: {encode(exchange)}" for name, exchange in found.exchanges.items()]
    sys.stdout.write("\n".join([f'{{"version": {encode(found.version)}, "exchanges": {{', ",\n".join(rows), "}}"]) + "\n")
