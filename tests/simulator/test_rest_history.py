"""REST answers about trades and best prices: what the stream said, in each venue's own format and pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from crosstape_simulator.market.market import PAST, Fill
from crosstape_simulator.service import Simulator, simulator
from tests.simulator.client import START_TS, Client, connect, get, still, ws

Traded = tuple[int, str, str, str]
"""Id, price, size, taker."""


def binance_row(row: Any) -> Traded:
    """Of either answer."""
    return row["id"], row["price"], row["qty"], "sell" if row["isBuyerMaker"] else "buy"


def binance_frame(text: str) -> list[Traded]:
    """Of the stream."""
    data = json.loads(text).get("data", {})
    return [(data["t"], data["p"], data["q"], "sell" if data["m"] else "buy")] if data.get("e") == "trade" else []


def coinbase_row(row: Any) -> Traded:
    """Its side is the maker's, here and on the stream."""
    return row["trade_id"], row["price"], row["size"], "sell" if row["side"] == "buy" else "buy"


def coinbase_frame(text: str) -> list[Traded]:
    """Of the Exchange feed."""
    frame = json.loads(text)
    return [coinbase_row(frame)] if frame["type"] == "match" else []


def kraken_row(row: Any) -> Traded:
    """A list."""
    return row[6], f"{Decimal(row[0]):f}", row[1], {"b": "buy", "s": "sell"}[row[3]]


def kraken_frame(text: str) -> list[Traded]:
    """Numbers with all their digits; a price has more zeros by REST."""
    frame = json.loads(text, parse_float=lambda digits: digits)
    rows = frame["data"] if frame.get("channel") == "trade" else []
    return [(row["trade_id"], f"{Decimal(row['price']):.5f}", row["qty"], row["side"]) for row in rows]


class Ways(NamedTuple):
    """How one venue is asked for the trades of BTC-USDT, and what it says of them."""

    endpoint: str
    path: str
    subscribe: Any
    frame: Callable[[str], list[Traded]]
    row: Callable[[Any], Traded]
    newest: str
    rows: Callable[[Any], list[Any]]
    """An answer's, oldest first."""
    oldest: Callable[[Any], str]
    """An answer → the page of (two of) those before it, or after it on the venues that page forwards."""
    forward: bool


WAYS = {
    "binance": Ways(
        "", "?streams=btcusdt@trade", None, binance_frame, binance_row, "/api/v3/trades?symbol=BTCUSDT&limit={}",
        list,
        lambda body: f"/api/v3/historicalTrades?symbol=BTCUSDT&limit=2&fromId={body[-1]['id'] + 1}", True,
    ),
    "coinbase": Ways(
        "exchange", "", {"type": "subscribe", "channels": ["matches"], "product_ids": ["BTC-USDT"]}, coinbase_frame, coinbase_row,
        "/products/BTC-USDT/trades?limit={}", lambda body: body[::-1],
        lambda body: f"/products/BTC-USDT/trades?limit=2&after={body[-1]['trade_id']}", False,
    ),
    "kraken": Ways(
        "", "", {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USDT"]}}, kraken_frame, kraken_row,
        "/0/public/Trades?pair=XBTUSDT&count={}", lambda body: body["result"]["XBTUSDT"],
        lambda body: f"/0/public/Trades?pair=BTC/USDT&count=2&since={body['result']['last']}", True,
    ),
}  # fmt: skip
every_venue = pytest.mark.parametrize("venue", WAYS)


async def spoken(venue: str, made: Simulator, client: Client, least: int) -> list[Traded]:
    """What the stream says of so many trades, or a few more, while the market goes on."""
    ways = WAYS[venue]
    if ways.subscribe is not None:
        await client.send(ways.subscribe)
        while "subscri" not in await client.text():
            pass
    pair = next(pair for (name, _), pair in made.market.market.pairs.items() if name == venue) if made.market is not None else None
    assert pair is not None
    before = pair.trade_id
    while pair.trade_id < before + least:
        made.advance(1.0)
    found: list[Traded] = []
    while not found or found[-1][0] < pair.trade_id:
        found += ways.frame(await client.text())
    return found


@every_venue
async def test_the_newest_trades_are_those_that_the_stream_told(venue: str) -> None:
    """Each with its id, digits and side; as many as are asked for, the newest."""
    ways = WAYS[venue]
    async with simulator(still(venues=(venue,))) as made, connect(ws(made, venue, ways.endpoint) + ways.path) as client:
        told = await spoken(venue, made, client, 20)
        status, body, _ = await get(made, venue, ways.newest.format(len(told)))
        assert status == 200
        assert [ways.row(row) for row in ways.rows(body)] == told
        _, body, _ = await get(made, venue, ways.newest.format(3))
        assert [ways.row(row) for row in ways.rows(body)] == told[-3:]


@every_venue
async def test_pages_follow_one_another_without_a_hole_and_without_a_trade_twice(venue: str) -> None:
    """Forwards on Binance and Kraken, backwards on Coinbase, until there is no more."""
    ways = WAYS[venue]
    async with simulator(still(venues=(venue,))) as made:
        pair = next(iter(made.market.market.pairs.values())) if made.market is not None else None
        assert pair is not None
        first = {
            "binance": f"/api/v3/historicalTrades?symbol=BTCUSDT&limit=2&fromId={pair.past[0][1].trade_id}",
            "coinbase": "/products/BTC-USDT/trades?limit=2",
            "kraken": f"/0/public/Trades?pair=XBTUSDT&count=2&since={pair.past[0][0] - 1}",
        }
        _, body, _ = await get(made, venue, first[venue])
        seen: list[int] = []
        while (rows := ways.rows(body)) and len(seen) < 2 * len(pair.past):
            ids = [ways.row(row)[0] for row in rows]
            seen = [*seen, *ids] if ways.forward else [*ids, *seen]
            _, body, _ = await get(made, venue, ways.oldest(body))
        assert seen == [fill.trade_id for _, fill in pair.past]


@every_venue
async def test_a_page_from_before_what_is_remembered_begins_with_the_oldest(venue: str) -> None:
    """So many trades of each symbol are kept, and the oldest is forgotten for each one more."""
    ways = WAYS[venue]
    async with simulator(still(venues=(venue,))) as made:
        assert made.market is not None
        pair = next(iter(made.market.market.pairs.values()))
        first = pair.trade_id + 1
        for number in range(first, first + PAST + 7):
            pair.trade_id = number
            pair.traded(START_TS + number, Fill(number, 100, 1, True))
        before = {
            "binance": "/api/v3/historicalTrades?symbol=BTCUSDT&limit=1&fromId=1",
            "coinbase": f"/products/BTC-USDT/trades?limit=2&after={first + 8}",
            "kraken": "/0/public/Trades?pair=XBTUSDT&count=1&since=1",
        }
        _, body, _ = await get(made, venue, before[venue])
        assert [ways.row(row)[0] for row in ways.rows(body)] == [first + 7]
        assert PAST >= 5_000


async def test_coinbase_tells_the_cursors_of_the_next_pages() -> None:
    """In headers; `before` leaves out what is not newer."""
    async with simulator(still(venues=("coinbase",))) as made:
        _, body, headers = await get(made, "coinbase", "/products/BTC-USDT/trades?limit=3")
        ids = [row["trade_id"] for row in body]
        assert (headers["CB-BEFORE"], headers["CB-AFTER"]) == (str(ids[0]), str(ids[-1]))
        _, newer, _ = await get(made, "coinbase", f"/products/BTC-USDT/trades?before={ids[1]}")
        assert [row["trade_id"] for row in newer] == ids[:1]
        _, none, headers = await get(made, "coinbase", f"/products/BTC-USDT/trades?before={ids[0]}")
        assert (none, "CB-AFTER" in headers) == ([], False)


async def test_kraken_takes_seconds_and_tells_where_to_go_on() -> None:
    """`last` is the time of the newest trade in the answer, or what was asked for if there is none."""
    async with simulator(still(venues=("kraken",))) as made:
        assert made.market is not None
        pair = next(iter(made.market.market.pairs.values()))
        _, body, _ = await get(made, "kraken", f"/0/public/Trades?pair=XBTUSDT&since={START_TS // 10**9 - 2}")
        assert [row[6] for row in body["result"]["XBTUSDT"]] == [fill.trade_id for ts, fill in pair.past if ts > START_TS - 2 * 10**9]
        assert body["result"]["last"] == str(pair.past[-1][0])
        _, body, _ = await get(made, "kraken", f"/0/public/Trades?pair=XBTUSDT&since={body['result']['last']}")
        assert body == {"error": [], "result": {"XBTUSDT": [], "last": str(pair.past[-1][0])}}


@pytest.mark.parametrize(
    ("symbol", "key"),
    [("BTC/USD", "XXBTZUSD"), ("ETH/USD", "XETHZUSD"), ("SOL/USD", "SOLUSD"), ("BTC/USDT", "XBTUSDT"), ("DOGE/USDT", "XDGUSDT")],
)
async def test_kraken_answers_with_a_name_of_its_own(symbol: str, key: str) -> None:
    """Whichever name it was asked by; the same as in its list of pairs."""
    async with simulator(still(venues=("kraken",))) as made:
        _, pairs, _ = await get(made, "kraken", "/0/public/AssetPairs")
        row = pairs["result"][key]
        for name in (symbol, key, row["altname"], row["wsname"]):
            for path in ("Trades?count=1", "Depth?count=1"):
                _, body, _ = await get(made, "kraken", f"/0/public/{path}&pair={name}")
                assert [found for found in body["result"] if found != "last"] == [key]


@every_venue
async def test_the_best_prices_are_those_of_the_true_book(venue: str) -> None:
    """Of every symbol, at every moment; Kraken cuts a size to three decimals."""
    async with simulator(still(venues=(venue,))) as made:
        assert made.market is not None
        for _ in range(3):
            made.advance(1.0)
            for (_, symbol), pair in made.market.market.pairs.items():
                units = pair.listing.price_decimals, pair.listing.size_decimals
                true = [
                    (Decimal(price).scaleb(-units[0]), Decimal(size).scaleb(-units[1]))
                    for side in (pair.bids, pair.asks)
                    for price, size in side.levels(1)
                ]
                told = await best(made, venue, symbol)
                if venue == "kraken":
                    true = [(price, size // Decimal("0.001") * Decimal("0.001")) for price, size in true]
                assert told == true


async def best(made: Simulator, venue: str, symbol: str) -> list[tuple[Decimal, Decimal]]:
    """Bid and ask by REST."""
    match venue:
        case "binance":
            _, row, _ = await get(made, venue, f"/api/v3/ticker/bookTicker?symbol={symbol}")
            return [(Decimal(row[f"{side}Price"]), Decimal(row[f"{side}Qty"])) for side in ("bid", "ask")]
        case "coinbase":
            _, row, _ = await get(made, venue, f"/products/{symbol}/book?level=1")
        case _:
            _, body, _ = await get(made, venue, f"/0/public/Depth?pair={symbol}&count=1")
            (row,) = body["result"].values()
    return [(Decimal(row[side][0][0]), Decimal(row[side][0][1])) for side in ("bids", "asks")]


async def test_binance_tells_the_best_prices_of_several_symbols() -> None:
    """Of those that are named, in that order, or of all; one unknown name refuses them all."""
    path = "/api/v3/ticker/bookTicker"
    async with simulator(still(venues=("binance",))) as made:
        _, rows, _ = await get(made, "binance", path + '?symbols=["ETHUSDT","BTCUSDT"]')
        assert [row["symbol"] for row in rows] == ["ETHUSDT", "BTCUSDT"]
        _, rows, _ = await get(made, "binance", path)
        assert len(rows) == 6
        refused = (400, {"code": -1121, "msg": "Invalid symbol."})
        assert (await get(made, "binance", path + '?symbols=["ETHUSDT","NOSUCH"]'))[:2] == refused
        assert (await get(made, "binance", path + "?symbol=NOSUCH"))[:2] == refused
        assert (await get(made, "binance", path + "?symbol=ETHUSDT&symbols=[]"))[1]["code"] == -1128
        assert (await get(made, "binance", path + "?symbols=ETHUSDT"))[1]["code"] == -1100


async def test_binance_counts_what_they_weigh() -> None:
    """25 for trades, 2 for the best prices of one symbol, 4 for those of several."""
    async with simulator(still(venues=("binance",))) as made:
        used = []
        for path in ("trades?symbol=BTCUSDT", "historicalTrades?symbol=BTCUSDT", "ticker/bookTicker?symbol=BTCUSDT", "ticker/bookTicker"):
            _, _, headers = await get(made, "binance", f"/api/v3/{path}")
            used.append(int(headers["X-MBX-USED-WEIGHT-1M"]))
        steps = [after - before for before, after in zip([0, *used], used, strict=False)]
        assert steps == [25, 25, 2, 4] or min(steps) < 0  # a minute may have begun in between


WRONG = {
    "binance": [
        ("/api/v3/trades", 400, "-1102"),
        ("/api/v3/trades?symbol=NOSUCH", 400, "-1121"),
        ("/api/v3/trades?symbol=BTCUSDT&limit=x", 400, "'limit'"),
        ("/api/v3/historicalTrades?symbol=BTCUSDT&fromId=-1", 400, "'fromId'"),
    ],
    "coinbase": [
        ("/products/NO-SUCH/trades", 404, "NotFound"),
        ("/products/NO-SUCH/book?level=1", 404, "NotFound"),
        ("/products/BTC-USDT/trades?limit=0", 400, "limit"),
        ("/products/BTC-USDT/trades?after=x", 400, "after"),
        ("/products/BTC-USDT/trades?before=x", 400, "before"),
        ("/products/BTC-USDT/book?level=3", 400, "level"),
    ],
    "kraken": [
        ("/0/public/Trades", 200, "EGeneral:Invalid arguments"),
        ("/0/public/Trades?pair=NOSUCH", 200, "EQuery:Unknown asset pair"),
        ("/0/public/Trades?pair=XBTUSDT&count=1001", 200, "EGeneral:Invalid arguments"),
        ("/0/public/Trades?pair=XBTUSDT&since=x", 200, "EGeneral:Invalid arguments"),
        ("/0/public/Depth?pair=XBTUSDT&count=2", 200, "EGeneral:Invalid arguments"),
    ],
}


@pytest.mark.parametrize(("venue", "path", "status", "words"), [(venue, *row) for venue, rows in WRONG.items() for row in rows])
async def test_what_is_asked_wrongly_is_refused_in_the_venues_words(venue: str, path: str, status: int, words: str) -> None:
    """Each with the status that the venue gives it."""
    async with simulator(still(venues=(venue,))) as made:
        answered, body, _ = await get(made, venue, path)
        assert answered == status
        assert words in json.dumps(body)
