"""Coinbase's REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

import msgspec

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents, changed

DAY_US: Final = 1_767_225_600 * 10**6


def trades(made: list[Row]) -> bytes:
    """`trades`, all of one day."""
    parts = [
        {
            "trade_id": number,
            "price": cents(price),
            "size": cents(price),
            "side": "sell" if buys else "buy",
            "time": f"2026-01-01T00:00:00.{us % 10**6:06}Z",
        }
        for number, price, us, buys in made
    ]
    return msgspec.json.encode(parts)


TRADES: Final = TradeCase(
    path="/products/B%C3%84R/trades?limit=1000&after=4001001",
    newest="/products/B%C3%84R/trades?limit=1000",
    limit=600,
    body=trades,
    moment=lambda us: (DAY_US + us % 10**6) * 1_000,
    unit_ns=1_000,
    bad=(
        (b"4000002", b"4000001"),
        (b'"0.02000000"', b'"0"'),
        (b'"91000.20000000"', b'"Infinity"'),
        (b"4000002", b"9223372036854775808"),
        (b'"sell"', b'"taker"'),
    ),
    refused=((b"2026-01", b"2026-13"),),
)

QUOTES: Final = QuoteCase(
    path="/products/BTC-USD/book?level=1",
    limit=600,
    no_bids=(b'[["91000.10000000","3.10000000",2]]', b"[]"),
)


def trading(first: str, second: str) -> bytes:
    """`products`."""
    row = '{"id":"NAME","status":"online","trading_disabled":false,"cancel_only":false,"post_only":false,"limit_only":false,"auction_mode":false}'  # noqa: E501
    rows = [changed(row.replace("NAME", name), change) for name, change in (("BTC-USD", first), ("ETH-USD", second))]
    return b"[%s]" % ",".join(rows).encode()


TRADING: Final = TradingCase(
    symbols=("BTC-USD", "ETH-USD"),
    gone="LUNA-USD",
    body=trading,
    halted=(
        ('"online" → "delisted"', "delisted"),
        ('"online" → ""', "no status"),
        *(
            (f'"{flag}":false → "{flag}":true', flag.replace("_", " "))
            for flag in ("trading_disabled", "cancel_only", "post_only", "auction_mode")
        ),
    ),
    trades=('"limit_only":false → "limit_only":true',),
    unreadable=('"status":"online" → "status":7', '"cancel_only":false → "cancel_only":"no"'),
)
