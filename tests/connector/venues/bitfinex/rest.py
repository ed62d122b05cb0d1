"""Bitfinex's REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents


def trades(made: list[Row]) -> bytes:
    """`trades/hist`: times are whole ms, and what was sold is negative."""
    parts = [f"[{number},{us // 1_000},{'' if buys else '-'}{cents(price)},{cents(price)}]" for number, price, us, buys in made]
    return f"[{','.join(parts)}]".encode()


TRADES: Final = TradeCase(
    path="/v2/trades/B%C3%84R/hist?limit=2500&start=1767225600123&sort=1",
    newest="/v2/trades/B%C3%84R/hist?limit=2500",
    limit=15,
    body=trades,
    moment=lambda us: us // 1_000 * 1_000_000,
    unit_ns=1_000_000,
    bad=(
        (b"4000002", b"4000001"),
        (b"0.02000000", b"0"),
        (b"0.02000000", b'"0.02000000"'),
        (b"0.02000000", b'"NaN"'),
        (b"91000.20000000", b"-1"),
        (b"91000.20000000", b'"91000.20000000"'),
        (b"91000.20000000", b"1e400"),
        (b"4000002", b"-1"),
        (b"1767225600123", b"1767225600.5"),
        (b",0.02000000,91000.20000000", b""),
    ),
    refused=((b",17672256", b",null,17672256"),),
)

QUOTES: Final = QuoteCase(path="/v2/book/tBTCUSD/P0?len=1", limit=30, no_bids=(b"[91000.10000000,2,3.10000000],", b""))


def trading(first: str, second: str) -> bytes:
    """The lists of pairs, spot and perpetuals."""
    rows = ['"BTCUSD"', '"BTCF0:USTF0"']
    for at, change in enumerate((first, second)):
        if change:
            old, new = change.split(" → ")
            rows[at] = rows[at].replace(old, new)
    return f"[[{rows[0]}],[{rows[1]}]]".encode()


TRADING: Final = TradingCase(
    symbols=("tBTCUSD", "tBTCF0:USTF0"),
    gone="tLUNA:UST",
    body=trading,
    halted=(),  # a pair that does not trade any more is not in the lists
    unreadable=('"BTCUSD" → null', '"BTCUSD" → ["BTCUSD"]'),
)
