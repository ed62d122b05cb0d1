"""Five exchanges as far as the tests need them: their trades in the documented wire format, with numbers of our own.

Formats  Kraken https://docs.kraken.com/api/docs/websocket-v2/trade, Bitstamp https://www.bitstamp.net/websocket/v2/, Bitfinex
         https://docs.bitfinex.com/reference/ws-public-trades, Hyperliquid
         https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket, Upbit https://docs.upbit.com/reference/websocket-trade
"""

# ruff: noqa: D102 (see `Dialect`)
from __future__ import annotations

import datetime as dt
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

Frames = list[str]


class Dialect(ABC):
    """One exchange. A trade is a number and the time at which it was made, in ms."""

    id: str
    instrument: str
    price, size = "61000.5", "0.25"
    """What the tape has."""
    replays = False
    """Whether a subscription is answered with past trades."""

    @abstractmethod
    def market(self) -> dict[str, Any]:
        """The library's market."""

    def answers(self, request: Any, past: Sequence[tuple[int, int]]) -> Frames | None:
        """The frames that answer a request; None if it is none for trades. `past`: the newest trades, oldest first."""
        return self.subscribed(past) if self.asks(request) else None

    @abstractmethod
    def asks(self, request: Any) -> bool:
        """Whether this subscribes trades."""

    def subscribed(self, past: Sequence[tuple[int, int]]) -> Frames:
        """The answer."""
        return []

    @abstractmethod
    def trade(self, number: int, made_ms: int) -> str:
        """The frame of one trade: a purchase."""


def market(symbol: str, market_id: str, **fields: Any) -> dict[str, Any]:
    """A market of the library, spot unless the fields say otherwise."""
    base, _, rest = symbol.partition("/")
    quote, _, settle = rest.partition(":")
    is_swap = bool(settle)
    return {
        "id": market_id, "symbol": symbol, "base": base, "quote": quote, "baseId": base, "quoteId": quote,
        "settle": settle or None, "settleId": settle or None, "type": "swap" if is_swap else "spot", "spot": not is_swap, "swap": is_swap,
        "future": False, "option": False, "contract": is_swap, "linear": is_swap or None, "inverse": False if is_swap else None,
        "contractSize": "1" if is_swap else None, "active": True, "precision": {"price": "0.1", "amount": "0.00000001"}, "limits": {},
        "info": {}, **fields,
    }  # fmt: skip


class Kraken(Dialect):
    """JSON numbers; past trades only for who asks for them, which the library does not."""

    id, instrument = "kraken", "BTC-USD"

    def market(self) -> dict[str, Any]:
        return market("BTC/USD", "XXBTZUSD", wsId="XBT/USD")

    def asks(self, request: Any) -> bool:
        return bool(request.get("method") == "subscribe" and request["params"]["channel"] == "trade")

    def subscribed(self, past: Sequence[tuple[int, int]]) -> Frames:
        result = {"channel": "trade", "symbol": "BTC/USD", "snapshot": False}
        return [json.dumps({"method": "subscribe", "success": True, "result": result, "req_id": 1})]

    def trade(self, number: int, made_ms: int) -> str:
        row = {"symbol": "BTC/USD", "side": "buy", "price": 61000.5, "qty": 0.25, "trade_id": number, "timestamp": _iso(made_ms)}
        return json.dumps({"channel": "trade", "type": "update", "data": [row]})


class Bitstamp(Dialect):
    """Texts beside the numbers."""

    id, instrument = "bitstamp", "BTC-USD"
    price, size = "61000.50", "0.25000000"

    def market(self) -> dict[str, Any]:
        return market("BTC/USD", "btcusd")

    def asks(self, request: Any) -> bool:
        return bool(request.get("event") == "bts:subscribe" and request["data"]["channel"] == "live_trades_btcusd")

    def subscribed(self, past: Sequence[tuple[int, int]]) -> Frames:
        return [json.dumps({"event": "bts:subscription_succeeded", "channel": "live_trades_btcusd", "data": {}})]

    def trade(self, number: int, made_ms: int) -> str:
        data = {
            "id": number, "type": 0, "price": 61000.5, "amount": 0.25, "price_str": "61000.50", "amount_str": "0.25000000",
            "timestamp": str(made_ms // 1_000), "microtimestamp": str(made_ms * 1_000), "buy_order_id": 5, "sell_order_id": 6,
        }  # fmt: skip
        return json.dumps({"event": "trade", "channel": "live_trades_btcusd", "data": data})


class Bitfinex(Dialect):
    """A channel number for each subscription; past trades first, newest first; each trade twice, as `te` and `tu`."""

    id, instrument = "bitfinex", "BTC-USD"
    replays = True

    def market(self) -> dict[str, Any]:
        return market("BTC/USD", "tBTCUSD")

    def asks(self, request: Any) -> bool:
        return bool(request.get("event") == "subscribe" and request["channel"] == "trades")

    def subscribed(self, past: Sequence[tuple[int, int]]) -> Frames:
        ack = {"event": "subscribed", "channel": "trades", "chanId": 17, "symbol": "tBTCUSD", "pair": "BTCUSD"}
        return [json.dumps(ack), json.dumps([17, [[number, ms, 0.25, 61000.5] for number, ms in reversed(past)]])]

    def trade(self, number: int, made_ms: int) -> str:
        return json.dumps([17, "te", [number, made_ms, 0.25, 61000.5]])


class Hyperliquid(Dialect):
    """A perpetual; numbers are texts; past trades first."""

    id, instrument = "hyperliquid", "BTC-USDC-PERP"
    replays = True

    def market(self) -> dict[str, Any]:
        return market("BTC/USDC:USDC", "0", baseName="BTC", baseId="0")

    def asks(self, request: Any) -> bool:
        return bool(request.get("method") == "subscribe" and request["subscription"]["type"] == "trades")

    def subscribed(self, past: Sequence[tuple[int, int]]) -> Frames:
        ack = {"method": "subscribe", "subscription": {"type": "trades", "coin": "BTC"}}
        return [json.dumps({"channel": "subscriptionResponse", "data": ack}), *([self._frame(past)] if past else [])]

    def trade(self, number: int, made_ms: int) -> str:
        return self._frame([(number, made_ms)])

    def _frame(self, trades: Sequence[tuple[int, int]]) -> str:
        rows = [
            {"coin": "BTC", "side": "B", "px": "61000.5", "sz": "0.25", "time": ms, "hash": "0x00", "tid": number, "users": ["0x1", "0x2"]}
            for number, ms in trades
        ]
        return json.dumps({"channel": "trades", "data": rows})


class Upbit(Dialect):
    """All subscriptions in one request; no answer."""

    id, instrument = "upbit", "BTC-KRW"

    def market(self) -> dict[str, Any]:
        return market("BTC/KRW", "KRW-BTC")

    def asks(self, request: Any) -> bool:
        return isinstance(request, list) and any(part.get("type") == "trade" for part in request)

    def trade(self, number: int, made_ms: int) -> str:
        frame = {
            "type": "trade", "code": "KRW-BTC", "timestamp": made_ms + 3, "trade_timestamp": made_ms, "trade_price": 61000.5,
            "trade_volume": 0.25, "ask_bid": "BID", "sequential_id": number, "stream_type": "REALTIME",
        }  # fmt: skip
        return json.dumps(frame)


DIALECTS: Final[dict[str, Dialect]] = {made.id: made for made in (Kraken(), Bitstamp(), Bitfinex(), Hyperliquid(), Upbit())}


def _iso(ms: int) -> str:
    return f"{dt.datetime.fromtimestamp(ms / 1_000, dt.UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1_000:03d}000Z"
