"""Kraken's REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents, changed


def trades(made: list[Row]) -> bytes:
    """`Trades`: the time is a JSON number with six decimals."""
    parts = [
        f'["{cents(price)}","{cents(price)}",{us // 10**6}.{us % 10**6:06},"{"b" if buys else "s"}","m","",{number}]'
        for number, price, us, buys in made
    ]
    return f'{{"error":[],"result":{{"X":[{",".join(parts)}],"last":"1"}}}}'.encode()


TRADES: Final = TradeCase(
    path="/0/public/Trades?pair=B%C3%84R&since=1767225600123455000&count=1000",  # before the trade, whatever was rounded
    newest="/0/public/Trades?pair=B%C3%84R&count=1000",
    limit=60,
    body=trades,
    moment=lambda us: us * 1_000,
    unit_ns=1_000,
    bad=(
        (b"4000002", b"4000001"),
        (b'"0.02000000"', b'"0.-10000"'),
        (b'"91000.20000000"', b'"-1"'),
        (b",4000002", b""),
        (b'"b"', b'"x"'),
        (b"1767225600.1234561", b"1e999999"),
        (b"1767225600.1234561", b"-1"),
        (b"1767225600.1234561", b'"NaN"'),
    ),
    refused=(
        (b'"error":[]', b'"error":["EService:Busy"]'),
        (b'"last"', b'"XETHZUSD"'),
        (b'"last":', b'"last":[],"XETHZUSD":'),
        (b'"XXBTZUSD"', b'"last"'),
    ),
)

QUOTES: Final = QuoteCase(
    path="/0/public/Depth?pair=XBTUSD&count=1",
    limit=60,
    no_bids=(b'[["91000.10000000","3.100",1767225500]]', b"[]"),
)


def trading(first: str, second: str) -> bytes:
    """`AssetPairs`."""
    row = '"NAME":{"altname":"NAME","wsname":"X","status":"online"}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("XBTUSD", first), ("ETHUSD", second))]
    return b'{"error":[],"result":{%s}}' % ",".join(rows).encode()


TRADING: Final = TradingCase(
    symbols=("BTC/USD", "ETH/USD"),
    gone="LUNA/USD",
    body=trading,
    halted=tuple(
        (f"online → {word}", word) for word in ("cancel_only", "post_only", "delisted", "maintenance", "reduce_only", "something_new")
    ),
    trades=("online → limit_only",),
    unreadable=('"status":"online" → "status":[]', '{"altname":"XBTUSD","wsname":"X","status":"online"} → null'),
)
