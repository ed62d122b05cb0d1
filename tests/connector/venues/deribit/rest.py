"""Deribit by REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents, changed


def trades(made: list[Row]) -> bytes:
    """`get_last_trades_by_instrument`: numbers are JSON numbers, times are ms."""
    rows = [
        f'{{"trade_seq":{number},"timestamp":{us // 1_000},"price":{cents(price)},"amount":{cents(price)},"trade_id":"1",'
        f'"direction":"{"buy" if buys else "sell"}","instrument_name":"X"}}'
        for number, price, us, buys in made
    ]
    return f'{{"jsonrpc":"2.0","result":{{"has_more":true,"trades":[{",".join(rows)}]}}}}'.encode()


TRADES: Final = TradeCase(
    path="/api/v2/public/get_last_trades_by_instrument?instrument_name=B%C3%84R&start_seq=4000001&count=1000&sorting=asc",
    newest="/api/v2/public/get_last_trades_by_instrument?instrument_name=B%C3%84R&count=1000&sorting=desc",
    limit=1_200,
    body=trades,
    moment=lambda us: us // 1_000 * 1_000_000,
    unit_ns=1_000_000,
    bad=(
        (b'"trade_seq":4000002', b'"trade_seq":4000001'),
        (b'"amount":0.02000000', b'"amount":"0.-10000"'),
        (b'"price":91000.20000000', b'"price":-1'),
        (b'"price":91000.20000000', b'"price":"NaN"'),
        (b'"price":91000.20000000', b'"price":"91_000"'),
        (b'"direction":"buy"', b'"direction":"x"'),
        (b'"trade_seq":4000002', b'"trade_seq":-2'),
        (b'"trade_seq":4000002,', b""),
    ),
    refused=((b'"trades":', b'"trade":'), (b'"result":', b'"error":')),
)

QUOTES: Final = QuoteCase(
    path="/api/v2/public/ticker?instrument_name=BTC_USDC-PERPETUAL",
    limit=1_200,
    no_bids=(b'"best_bid_price":91000.10000000,"best_bid_amount":3.10000000', b'"best_bid_price":0.0,"best_bid_amount":0.0'),
)


def trading(first: str, second: str) -> bytes:
    """`get_instruments`, whose states are text."""
    row = '{"instrument_name":"NAME","kind":"future","is_active":true,"state":"open"}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("BTC-PERPETUAL", first), ("BTC-25DEC26", second))]
    return f'{{"jsonrpc":"2.0","result":[{",".join(rows)}]}}'.encode()


TRADING: Final = TradingCase(
    symbols=("BTC-PERPETUAL", "BTC-25DEC26"),
    gone="BTC-26JUN26",
    body=trading,
    halted=(
        ('"state":"open" → "state":"halted"', "halted"),
        ('"state":"open" → "state":""', "no state"),
        ('"is_active":true → "is_active":false', "not active"),
    ),
    trades=('"kind":"future" → "kind":"other"',),
    unreadable=('"is_active":true, → ', '"state":"open" → "state":7'),
)
