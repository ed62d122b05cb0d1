"""MarketData trades and best prices by REST while a recording is played: of what has been played, to the digit."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from crosstape_simulator.market.market import PAST
from crosstape_simulator.recordings.history import RecordedMarketData
from crosstape_simulator.recordings.recording import Recording
from crosstape_simulator.service import Simulator
from crosstape_simulator.venues.registry import find
from crosstape_simulator.venues.spec import FrameInfo, Role
from tests.simulator.client import connect, get, ws
from tests.simulator.test_playing import ADVANCED, BINANCE, EXCHANGE, KRAKEN, capture, inward, played
from tests.waiting import wait_until


def binance_trade(number: int, symbol: str = "BTCUSDT") -> str:
    """One execution; the buyer took those with an even id."""
    data = f'"t":{number},"p":"91000.{number:08}","q":"0.00150000","T":{1_767_225_600_000 + number},"m":{"true" if number % 2 else "false"}'
    return f'{{"stream":"{symbol.lower()}@trade","data":{{"e":"trade","E":1767225600000,"s":"{symbol}",{data},"M":true}}}}'


def match(number: int, kind: str = "match") -> str:
    """One execution of Exchange, with the maker's side."""
    what = f'"side":"{"buy" if number % 2 else "sell"}","size":"0.00150000","price":"91000.{number:02}","product_id":"BTC-USD"'
    return f'{{"type":"{kind}","trade_id":{number},{what},"time":"2026-01-01T00:00:00.{number:06}Z"}}'


def market_trades(*numbers: int) -> str:
    """Executions of Advanced, newest first, with ids that are text."""
    rows = [
        f'{{"product_id":"BTC-USD","trade_id":"{number}","price":"91000.{number:02}","size":"0.0015",'
        f'"time":"2026-01-01T00:00:00.{number:06}Z","side":"{"BUY" if number % 2 else "SELL"}"}}'
        for number in numbers
    ]
    event = f'{{"type":"update","trades":[{",".join(rows)}]}}'
    return f'{{"channel":"market_trades","timestamp":"2026-01-01T00:00:00Z","sequence_num":{numbers[0]},"events":[{event}]}}'


def kraken_trades(kind: str, *numbers: int) -> str:
    """Executions of Kraken, with numbers that are no text."""
    rows = [
        f'{{"symbol":"BTC/USD","side":"{"sell" if number % 2 else "buy"}","price":91000.{number},"qty":0.00150000,'
        f'"ord_type":"limit","trade_id":{number},"timestamp":"2026-01-01T00:00:00.{number:06}Z"}}'
        for number in numbers
    ]
    return f'{{"channel":"trade","type":"{kind}","data":[{",".join(rows)}]}}'


@asynccontextmanager
async def finished(path: Path, venue: str, url: str, frames: Iterable[str]) -> Any:
    """A recording that has been played to its end, to nobody."""
    async with played(capture(path / "x.jsonl", venue, url, map(inward, frames)), start="manual") as made:
        endpoint = "exchange" if url == EXCHANGE else "advanced"
        async with connect(ws(made, venue, endpoint)) as client:
            if venue == "binance":
                await client.send({"method": "SUBSCRIBE", "params": ["ethusdt@trade"], "id": 1})
            elif venue == "kraken":
                await client.send({"method": "subscribe", "params": {"channel": "trade", "symbol": ["ETH/USD"]}})
            elif url == EXCHANGE:
                await client.send({"type": "subscribe", "channels": ["matches"], "product_ids": ["ETH-USD"]})
            else:
                await client.send({"type": "subscribe", "channel": "heartbeats"})
            await wait_until(lambda: made.counters(venue).messages == 1, what="there is a client, so that it is played at once")
            made.start(venue)
            await wait_until(lambda: made.finished(venue), what="the recording is at its end")
            yield made


async def test_binances_trades_are_those_that_were_played(tmp_path: Path) -> None:
    """From an id, or the newest; of the symbol that is asked for, which is a known one before anything was played."""
    frames = [binance_trade(5), binance_trade(6), binance_trade(9, "ETHUSDT"), binance_trade(7)]
    async with finished(tmp_path, "binance", BINANCE, frames) as made:
        _, rows, _ = await get(made, "binance", "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=6")
        assert [(row["id"], row["price"], row["qty"], row["time"], row["isBuyerMaker"]) for row in rows] == [
            (6, "91000.00000006", "0.00150000", 1_767_225_600_006, False),
            (7, "91000.00000007", "0.00150000", 1_767_225_600_007, True),
        ]
        _, rows, _ = await get(made, "binance", "/api/v3/trades?symbol=BTCUSDT&limit=1")
        assert [row["id"] for row in rows] == [7]
        assert (await get(made, "binance", "/api/v3/trades?symbol=XRPUSDT"))[1]["code"] == -1121


async def test_nothing_is_told_before_it_was_played(tmp_path: Path) -> None:
    """A recording's future is not known yet, and recorded answers are of another time."""
    url = "https://api.binance.com/api/v3/trades?symbol=BTCUSDT&limit=1000"
    lines = [{"t": 1, "c": 0, "d": "rest", "u": url, "f": '[{"id":99}]'}, inward(binance_trade(5))]
    async with played(capture(tmp_path / "x.jsonl", "binance", BINANCE, lines), start="manual") as made:
        assert (await get(made, "binance", "/api/v3/trades?symbol=BTCUSDT"))[:2] == (200, [])


EXCHANGE_FRAMES = [match(4, "last_match"), match(5), match(6), match(6)]
ADVANCED_FRAMES = [market_trades(5, 4), market_trades(6)]


@pytest.mark.parametrize(("url", "frames"), [(EXCHANGE, EXCHANGE_FRAMES), (ADVANCED, ADVANCED_FRAMES)])
async def test_coinbases_trades_are_those_that_were_played(tmp_path: Path, url: str, frames: list[str]) -> None:
    """On either feed; newest first, each once, with the maker's side."""
    async with finished(tmp_path, "coinbase", url, frames) as made:
        _, rows, _ = await get(made, "coinbase", "/products/BTC-USD/trades")
        assert [(row["trade_id"], row["price"], row["side"], row["time"]) for row in rows] == [
            (6, "91000.06", "sell", "2026-01-01T00:00:00.000006Z"),
            (5, "91000.05", "buy", "2026-01-01T00:00:00.000005Z"),
            (4, "91000.04", "sell", "2026-01-01T00:00:00.000004Z"),
        ]
        _, rows, _ = await get(made, "coinbase", "/products/BTC-USD/trades?after=6&limit=1")
        assert [row["trade_id"] for row in rows] == [5]


async def test_krakens_trades_are_those_that_were_played(tmp_path: Path) -> None:
    """Those that it replayed on subscribing too."""
    frames = [kraken_trades("snapshot", 4, 5), kraken_trades("update", 6, 7)]
    async with finished(tmp_path, "kraken", KRAKEN, frames) as made:
        _, body, _ = await get(made, "kraken", "/0/public/Trades?pair=XBTUSD&since=1767225600000004000")
        assert body == {
            "error": [],
            "result": {
                "XXBTZUSD": [
                    ["91000.50000", "0.00150000", 1_767_225_600.000005, "s", "m", "", 5],
                    ["91000.60000", "0.00150000", 1_767_225_600.000006, "b", "m", "", 6],
                    ["91000.70000", "0.00150000", 1_767_225_600.000007, "s", "m", "", 7],
                ],
                "last": "1767225600000007000",
            },
        }


async def top(made: Simulator, venue: str) -> tuple[list[str], list[str]]:
    """Bid and ask of BTC: price and size, or nothing."""
    match venue:
        case "binance":
            _, row, _ = await get(made, venue, "/api/v3/ticker/bookTicker?symbol=BTCUSDT")
            return [row["bidPrice"], row["bidQty"]], [row["askPrice"], row["askQty"]]
        case "coinbase":
            _, row, _ = await get(made, venue, "/products/BTC-USD/book?level=1")
        case _:
            _, body, _ = await get(made, venue, "/0/public/Depth?pair=BTC/USD&count=1")
            (row,) = body["result"].values()
    bids, asks = ([text for level in row[side] for text in level[:2]] for side in ("bids", "asks"))
    return bids, asks


def l2_event(kind: str, *levels: tuple[str, str, str]) -> str:
    """A frame of Advanced's book."""
    rows = [f'{{"side":"{side}","event_time":"x","price_level":"{price}","new_quantity":"{size}"}}' for side, price, size in levels]
    event = f'{{"type":"{kind}","product_id":"BTC-USD","updates":[{",".join(rows)}]}}'
    return f'{{"channel":"l2_data","timestamp":"2026-01-01T00:00:00Z","sequence_num":0,"events":[{event}]}}'


def kraken_book(kind: str, bids: dict[str, str], asks: dict[str, str]) -> str:
    """A frame of Kraken's."""
    sides = (",".join([f'{{"price":{price},"qty":{size}}}' for price, size in side.items()]) for side in (bids, asks))
    bid_rows, ask_rows = sides
    data = f'{{"symbol":"BTC/USD","bids":[{bid_rows}],"asks":[{ask_rows}],"checksum":0}}'
    return f'{{"channel":"book","type":"{kind}","data":[{data}]}}'


KRAKEN_ACK = '{"method":"subscribe","result":{"channel":"book","depth":10,"snapshot":true,"symbol":"BTC/USD"},"success":true,"req_id":1}'
TOPS: dict[str, tuple[str, str, list[str], tuple[list[str], list[str]]]] = {
    "binance": (
        "binance",
        BINANCE,
        [
            '{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}}',
            '{"stream":"btcusdt@bookTicker","data":{"u":2,"s":"BTCUSDT","b":"91000.10","B":"3.10","a":"91000.20","A":"0.50"}}',
        ],
        (["91000.10", "3.10"], ["91000.20", "0.50"]),
    ),
    "coinbase exchange": (
        "coinbase",
        EXCHANGE,
        [
            '{"type":"snapshot","product_id":"BTC-USD","bids":[["91000.1","3"],["90999.0","1"]],"asks":[["91000.2","1"],["91000.3","0.-1"]]}',
            '{"type":"l2update","product_id":"BTC-USD","changes":[["buy","91000.100","0.0"],["sell","91000.2","0.50"]]}',
        ],
        (["90999.0", "1"], ["91000.2", "0.50"]),
    ),
    "coinbase advanced": (
        "coinbase",
        ADVANCED,
        [
            l2_event("snapshot", ("bid", "9", "9"), ("offer", "10", "9")),
            l2_event("snapshot", ("bid", "91000.1", "3"), ("offer", "91000.2", "1")),
            l2_event("update", ("bid", "91000.15", "2"), ("offer", "91000.2", "0")),
        ],
        (["91000.15", "2"], []),
    ),
    "kraken ticker": (
        "kraken",
        KRAKEN,
        ['{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":91000.1,"bid_qty":3.1059,"ask":91000.2,"ask_qty":0}]}'],
        (["91000.10000", "3.105"], []),
    ),
    "kraken book": (
        "kraken",
        KRAKEN,
        [
            KRAKEN_ACK,
            kraken_book("snapshot", {f"{91_000 - n}.1": "1.0" for n in range(10)}, {"91001.2": "0.5"}),
            kraken_book("update", {"91000.5": "2.00000000"}, {}),
            kraken_book("update", {f"{91_000 - n}.1": "0.00000000" for n in range(9)}, {}),
            kraken_book("update", {"91000.5": "0.00000000"}, {}),
        ],
        ([], ["91001.20000", "0.500"]),
    ),
}


@pytest.mark.parametrize("name", TOPS)
async def test_the_best_prices_are_those_that_the_last_frame_left(tmp_path: Path, name: str) -> None:
    """A level without size is gone, one that makes no sense never was, and what fell out of Kraken's depth is not taken for a best one."""
    venue, url, frames, expected = TOPS[name]
    async with finished(tmp_path, venue, url, frames) as made:
        assert await top(made, venue) == expected


async def test_a_recording_without_best_prices_has_none_to_tell(tmp_path: Path) -> None:
    """Each venue says so in a way of its own."""
    async with finished(tmp_path, "binance", BINANCE, [binance_trade(5)]) as made:
        assert (await get(made, "binance", "/api/v3/ticker/bookTicker?symbol=BTCUSDT"))[1]["code"] == -1121
    async with finished(tmp_path, "kraken", KRAKEN, [kraken_trades("update", 5)]) as made:
        assert (await get(made, "kraken", "/0/public/Depth?pair=XBTUSD&count=1"))[1] == {"error": ["EService:Unavailable"]}
    async with finished(tmp_path, "coinbase", EXCHANGE, [match(5)]) as made:
        assert (await get(made, "coinbase", "/products/BTC-USD/book"))[0] == 404


def test_what_is_remembered_is_bounded_and_broken_frames_are_left_out(tmp_path: Path) -> None:
    """The newest of each symbol are kept, whether anyone has asked meanwhile or not."""
    recording = Recording(Path(capture(tmp_path / "x.jsonl", "binance", BINANCE, map(inward, [binance_trade(1)]))))
    ((_, topics),) = recording.needs
    past = RecordedMarketData(find("binance"), [recording])
    seen = FrameInfo(Role.DATA, topics)
    past.note(seen, b'{"stream":"btcusdt@trade","data":{}}')
    for number in range(1, PAST + 5):
        past.note(seen, binance_trade(number).encode())
    first = past.history("BTCUSDT")
    assert first is not None
    assert [traded.trade_id for traded in first.since(0, 2)] == [5, 6]
    past.note(seen, binance_trade(PAST + 5).encode())
    again = past.history("BTCUSDT")
    assert again is not None
    assert [traded.trade_id for traded in again.since(0, 1) + again.newest(1)] == [6, PAST + 5]
