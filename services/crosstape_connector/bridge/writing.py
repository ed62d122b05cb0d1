"""Turns the library's results into frames of the bridge, before anything else can change them: its books are live objects. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from crosstape_connector.venues.ccxt import frames
from crosstape_connector.venues.ccxt.facts import TEXTS, TRADE_TIMES

_encode = msgspec.json.Encoder(decimal_format="number").encode
MILLISECOND: Final = 1_000_000
MARKET: Final = ("symbol", "base", "quote", "settle", "type", "active", "inverse", "contractSize", "expiry", "precision")
"""The fields of a market that are passed on."""


def frame(made: frames.Frame) -> bytes:
    """Write one of our own frames."""
    return _encode(made)


def trades(symbol: str, since_ns: int, rows: Iterable[Mapping[str, Any]], library_class: str) -> bytes:
    """Write trades. The texts and times of the exchange itself go before the library's numbers, where it is known that they are there."""
    texts, time = TEXTS.get(library_class), TRADE_TIMES.get(library_class)
    made = []
    for row in rows:
        price, amount, ms = row["price"], row["amount"], row.get("timestamp")
        made_ns = None if ms is None else ms * MILLISECOND
        if texts is not None or time is not None:
            info = row.get("info") or {}
            if texts is not None:
                price, amount = info.get(texts[0]) or price, info.get(texts[1]) or amount
            if time is not None and (own := str(info.get(time[0]))).isdecimal():
                made_ns = int(own) * time[1]
        made.append(frames.Row(price, amount, _text(row.get("id")), made_ns, row.get("side")))
    return _encode({"t": "trades", "s": symbol, "since": since_ns, "rows": made})


def book(symbol: str, found: Mapping[str, Any], depth: int) -> bytes:
    """Write the best levels."""
    bids, asks = ([row[:2] for row in found[side][:depth]] for side in ("bids", "asks"))
    return _encode({"t": "book", "s": symbol, "bids": bids, "asks": asks, "timestamp": found.get("timestamp")})


def bid_ask(symbol: str, found: Mapping[str, Any]) -> bytes:
    """Write best prices."""
    return _picked("bidsasks", symbol, found, ("bid", "bidVolume", "ask", "askVolume", "timestamp"))


def ticker(symbol: str, found: Mapping[str, Any]) -> bytes:
    """Write a ticker. Its best prices are left out: of some exchanges they are something else."""
    return _picked("ticker", symbol, found, ("last", "open", "high", "low", "baseVolume", "quoteVolume", "change", "timestamp"))


def candles(symbol: str, timeframe: str, rows: Sequence[Sequence[Any]]) -> bytes:
    """Write candles. Those without a figure are left out."""
    made = [row[:6] for row in rows if len(row) >= 6 and None not in row[:6]]
    return _encode({"t": "ohlcv", "s": symbol, "timeframe": timeframe, "rows": made})


def markets(found: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Write the list of markets."""
    return _encode([{field: market.get(field) for field in MARKET} for market in found.values()])


def _picked(tag: str, symbol: str, found: Mapping[str, Any], fields: Sequence[str]) -> bytes:
    return _encode({"t": tag, "s": symbol, **{field: found.get(field) for field in fields}})


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
