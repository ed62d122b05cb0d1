"""Hyperliquid by REST: instruments, whether they trade, best prices, candles.

Limits  a weight of 1,200 a minute for one address: books 2, lists 20, candles 20 and one more for each 60 rows
Quirks  all is a POST of one JSON object to `/info`, whose `type` says what is wanted: the sources here write it as a path, `/info/<type>`,
        and a query (`posted`). An unknown coin is answered by `null`. The `tokens` of a spot pair are indices of tokens, not places in the
        list, and one may be missing there. A contract that is delisted stays in the list, marked; nothing else is ever marked
Trades  `recentTrades` is not documented and has ten rows: it is not used
Candles the 5,000 newest; `candleSnapshot` includes the candle around `startTime`. An interval without trades is missing at first and may
        be there later, flat, without a trade
Docs    https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.hyperliquid.values import PERPS, SPOT, TIMEFRAMES, RawCandle, RawLevel, candle_of, ours
from crosstape_connector.venues.messages import CandleSnapshot, Odd, OddRow
from crosstape_connector.venues.parsing.answers import trading_states
from crosstape_connector.venues.parsing.candles import snapshot
from crosstape_connector.venues.parsing.listing import asset_of, listed
from crosstape_connector.venues.parsing.rows import readable, rows_decoder
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns, side_of
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Instrument, Quote, perpetual, spot
from crosstape_schemas.timeframes import LENGTHS

CONTRACTS, PAIRS = "/info/allPerpMetas", "/info/spotMeta"
CANDLES: Final = 500
"""Candles in an answer at most."""
REACH: Final = 5_000
"""Candles that exist."""
WEIGHTS: Final = {CONTRACTS: 20, PAIRS: 20, "/info/l2Book": 2, "/info/candleSnapshot": 20 + -(-CANDLES // 60)}
COLLATERAL: Final = {0: "USDC", 235: "USDE", 268: "USDT0", 360: "USDH"}
"""Index of a token that contracts are settled in → its name in `spotMeta`. A testnet has other tokens: there only USDC is known."""
MS: Final = 1_000_000


class RestContract(msgspec.Struct, frozen=True):
    name: str
    digits: Serial = msgspec.field(name="szDecimals")
    is_delisted: bool | str | None = msgspec.field(name="isDelisted", default=None)


class RestMarket(msgspec.Struct, frozen=True):
    universe: list[msgspec.Raw]
    collateral: int = msgspec.field(name="collateralToken", default=0)


class RestPair(msgspec.Struct, frozen=True):
    name: str
    tokens: tuple[int, int]
    index: Serial


class RestToken(msgspec.Struct, frozen=True):
    name: str
    index: int
    digits: Serial = msgspec.field(name="szDecimals")


class RestPairs(msgspec.Struct, frozen=True):
    universe: list[msgspec.Raw]
    tokens: list[msgspec.Raw]


class RestBook(msgspec.Struct, frozen=True):
    time: Stamp
    levels: tuple[list[RawLevel], list[RawLevel]]


_markets = rows_decoder(list[RestMarket], 4)
_contract = msgspec.json.Decoder(RestContract).decode
_pairs = rows_decoder(RestPairs, 2)
_pair = msgspec.json.Decoder(RestPair).decode
_token = msgspec.json.Decoder(RestToken).decode
_book = msgspec.json.Decoder(RestBook).decode
_candles = rows_decoder(list[msgspec.Raw], 1)
_candle = msgspec.json.Decoder(RawCandle).decode


def posted(path: str) -> tuple[str, bytes]:
    """See `Venue.posted`: `/info/l2Book?coin=BTC` → `/info`, `{"type":"l2Book","coin":"BTC"}`."""
    place, _, query = path.partition("?")
    fields = {name: int(text) if name.endswith("Time") else text for name, text in parse_qsl(query)}
    kind = place.removeprefix("/info/")
    about = {"req": fields} if kind == "candleSnapshot" else fields
    return "/info", msgspec.json.encode({"type": kind, **about})


def rest_error(body: bytes) -> str | None:
    """`null` is the answer about a coin that does not exist."""
    return "no such coin" if body.strip() == b"null" else None


def parse_contracts(body: bytes) -> Sequence[Instrument | OddRow]:
    """`allPerpMetas`: the venue's own contracts, and those of each builder."""
    found: list[Instrument | OddRow] = []
    for market in _markets(body):
        quote = COLLATERAL.get(market.collateral, "")
        found += listed(market.universe, partial(_instrument, quote=quote, token=market.collateral), _named)
    return found


def _instrument(raw: msgspec.Raw, *, quote: str, token: int) -> tuple[Instrument, str]:
    row = _contract(raw)
    base = asset_of(_base(row.name), "name")
    if not quote:
        raise FrameError(f"the name of token {token}, in which it is settled, is not known")
    trouble = f"isDelisted {row.is_delisted[:40]!r} is not known" if isinstance(row.is_delisted, str) else ""
    step = _step(row.digits)
    return Instrument(perpetual(base, quote), PERPS, row.name, base, quote, None, step, active=not row.is_delisted), trouble


def _base(coin: str) -> str:
    """`xyz:SP500` → `xyz.SP500`: our names have no colon."""
    builder, colon, base = coin.partition(":")
    return f"{builder}.{base}" if colon and builder and base else coin


def _step(digits: int) -> Decimal | None:
    return Decimal(1).scaleb(-digits) if digits <= 18 else None


def _named(row: Any) -> tuple[str, str]:
    symbol = row.get("name")
    return symbol if isinstance(symbol, str) else "", ""


def parse_contract_states(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """Whether contracts are delisted: there is no other state."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _contract(raw)
        return row.name, "delisted" if row.is_delisted else ""

    rows = [raw for market in _markets(body) for raw in market.universe]
    return trading_states(rows, read, dict(zip(symbols, symbols, strict=True)))


def parse_pairs(body: bytes) -> Sequence[Instrument | OddRow]:
    """`spotMeta`. Of several tokens with one name the pair that is listed first counts; the others are odd."""
    answer = _pairs(body)
    odd: list[Odd] = []
    tokens = {token.index: token for token in readable(answer.tokens, _token, "a token", odd)}

    def read(raw: msgspec.Raw) -> tuple[Instrument, str]:
        row = _pair(raw)
        missing = [index for index in row.tokens if index not in tokens]
        if missing:
            raise FrameError(f"token {missing[0]} is not listed")
        base, quote = (tokens[index] for index in row.tokens)
        names = asset_of(ours(base.name), "the base token"), asset_of(ours(quote.name), "the quote token")
        return Instrument(spot(*names), SPOT, row.name, *names, None, _step(base.digits)), ""

    return listed(answer.universe, read, _named)


def parse_pair_states(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """Whether pairs are listed: there is no state."""
    return trading_states(_pairs(body).universe, lambda raw: (_pair(raw).name, ""), dict(zip(symbols, symbols, strict=True)))


def quotes_path(coins: Sequence[str]) -> str:
    """Return the request for the book of one coin."""
    (coin,) = coins
    return f"/info/l2Book?{urlencode({'coin': coin})}"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote]:
    """Return the best levels of the one requested coin."""
    (instrument,) = symbols.values()
    book = _book(body)
    best = [side_of(side[0].px, side[0].sz) if side else (None, None) for side in book.levels]
    return [Quote(instrument.venue, instrument.name, epoch_ns(book.time), received_ts, *best[0], *best[1])]


def candles_path(coin: str, timeframe: str, since_ts: int) -> str:
    """See `CandleSource.path`."""
    return range_path(coin, timeframe, since_ts, since_ts + (CANDLES - 1) * LENGTHS[timeframe])


def range_path(coin: str, timeframe: str, first_ts: int, last_ts: int) -> str:
    """See `PastCandles.path`."""
    times = {"startTime": max(0, first_ts) // MS, "endTime": max(0, last_ts) // MS}
    return f"/info/candleSnapshot?{urlencode({'coin': coin, 'interval': TIMEFRAMES[timeframe], **times})}"


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Return the candles of an answer, oldest first."""
    odd: list[Odd] = []
    what = f"{timeframe} candles of {instrument.name}"
    rows = readable(_candles(body), lambda raw: candle_of(_candle(raw), instrument, timeframe, received_ts), what, odd)
    return snapshot(instrument.name, timeframe, rows, received_ts, odd)
