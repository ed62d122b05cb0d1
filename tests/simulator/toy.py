"""A venue that does not exist, with all that only some venues have: candles, contracts, a token, a welcome, pings as text, gzip."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from crosstape_simulator.market.grid import THURSDAYS, Grid, grid
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.server.feed import Feed, Source
from crosstape_simulator.server.manners import GZIP, Grant, ServerPings
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec

GRIDS: Final[Mapping[str, Grid]] = {"1s": grid("1s"), "1m": grid("1m"), "1h": grid("1h"), "week": THURSDAYS, "1M": grid("1M")}
TOKEN: Final = "/token"


def classify(payload: bytes) -> spec.FrameInfo:
    """What a frame is: data have a topic, replies an id."""
    frame = msgspec.json.decode(payload, type=dict[str, Any])
    if "topic" not in frame:
        return spec.FrameInfo(spec.Role.REPLY if "id" in frame else spec.Role.FREE)
    return spec.FrameInfo(spec.Role.DATA, (tuple(frame["topic"]),))


def asked(request: dict[str, Any]) -> spec.Request | None:
    """What a request asks for."""
    match request:
        case {"subscribe": list(topic)}:
            return spec.Request(True, (tuple(topic),), request)
    return None


def refuse(request: spec.Request, bad: object) -> tuple[list[bytes], spec.Request | None]:
    """A refusal of all."""
    return [kit.encoded({"id": 0, "error": request.body})], None


def frame(topic: Topic, ts: int, data: object) -> str:
    """A frame with data."""
    return json.dumps({"topic": topic, "ts": ts, "data": data})


def row(candle: kit.Candle) -> dict[str, object]:
    """A candle with all its fields."""
    return candle._asdict()


def write(symbol: kit.Symbol, topic: Topic, candle: kit.Candle, is_over: bool, ts: int) -> str:
    """A candle as it is now."""
    return frame(topic, ts, {**row(candle), "over": is_over})


def write_past(symbol: kit.Symbol, topic: Topic, candles: Sequence[kit.Candle], ts: int) -> str:
    """The candles before."""
    return frame(topic, ts, [row(candle) for candle in candles])


def mark(symbol: kit.Symbol, ts: int) -> str:
    """Mark price and funding."""
    now = symbol.figures
    prices = {"mark": symbol.price(now.mark_price), "index": symbol.price(now.index_price)}
    return frame(("mark", symbol.name), ts, {**prices, "rate": symbol.rate(now.rate), "next": now.next_ts})


def forced(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
    """Liquidations, one a frame."""
    for ts, fill in trades:
        yield frame(("forced", "all"), ts, {"id": fill.trade_id, "symbol": symbol.name, "size": symbol.size(fill.size)})


class ToyMarket(kit.StreamMarket):
    """Three channels of candles that differ in when they are sent."""

    @staticmethod
    def feed(source: Source, options: spec.Options) -> Feed:
        """The symbol `all` is none."""
        return kit.RequestFeed(
            source,
            VENUE.kinds,
            asked=asked,
            acknowledge=lambda request: [kit.encoded({"id": 0, "ok": True})],
            refuse=refuse,
            other=lambda request: kit.encoded({"id": 0, "unknown": request}),
            symbol=lambda topic: "" if topic[1] == "all" else topic[1],
        )

    def channels(self, feed: Feed, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """Three of candles; for contracts figures and liquidations, too."""

        def topics(channel: str) -> dict[Topic, Grid]:
            return {(channel, symbol.name, name): one for name, one in GRIDS.items()}

        yield kit.CandleChannel(feed, symbol, topics("flagged"), write, flag=True, empty="flat", every_ns=200_000_000)
        yield kit.CandleChannel(feed, symbol, topics("plain"), write, snapshot=write_past)
        yield kit.CandleChannel(feed, symbol, topics("late"), write, empty="late")
        if symbol.pair.listing.is_contract:
            yield kit.ValueChannel(feed, symbol, ("mark", symbol.name), mark, every_ns=3_000_000_000, first=mark)
            yield kit.LiquidationChannel(feed, symbol, ("forced", "all"), forced)

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Candles of a second, whatever is asked for."""
        found = self.candles(query.get("symbol", ""), grid("1s"), flat="flat" in query)
        return VENUE.rest.unknown if found is None else answer([row(candle) for candle in found])


LISTINGS: Final = (
    Listing("toy", "BTCUSDT", "BTC", "USDT", 2, 6),
    Listing("toy", "BTCPERP", "BTC", "USDT", 1, 0, contract_size="0.001"),
    Listing("toy", "BTCUSD", "BTC", "USD", 1, 0, contract_size="10", inverse=True),
    Listing("toy", "BTC2026", "BTC", "USDT", 1, 0, contract_size="0.001", expiry=1_798_156_800 * 10**9),
)

VENUE: Final = spec.SimulatedVenue(
    id="toy",
    title="Toy",
    listings=LISTINGS,
    options={"ping_s": 3_600.0, "pong_within_s": 30.0, "silence_s": 0.0},
    dialects=(
        spec.Dialect(
            path="/ws",
            prefixes=("/ws",),
            feed=ToyMarket.feed,
            classify=classify,
            asked=asked,
            refuse=refuse,
            binary=GZIP,
            grant=Grant(path=TOKEN, write=lambda token, url: {"token": token, "url": url}, refusal=b'{"error":401}'),
            welcome=lambda query: kit.encoded({"welcome": query.get("connectId", "")}),
            pings=ServerPings(text=lambda now: "Ping", is_answer=lambda text: text == "Pong"),
        ),
    ),
    market=ToyMarket,
    rest=spec.RestRules(
        history=lambda data, path, query, now: None,
        unknown=answer({"error": "unknown"}, 404),
        refusal=lambda status, reason: {"error": reason or status},
        lists=(),
        halted={},
    ),
    kinds={
        "flagged": frozenset({"candle"}),
        "plain": frozenset({"candle"}),
        "late": frozenset({"candle"}),
        "mark": frozenset({"mark", "funding"}),
        "forced": frozenset({"liquidation"}),
    },
    fields={},
    shift=lambda payload, ns: payload,
    maintenance="",
)
