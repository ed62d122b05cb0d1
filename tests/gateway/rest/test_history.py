"""Answers from streams: trades, bars, candles, gaps."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis

from crosstape.settings import GatewaySettings
from crosstape_gateway.rest import entries
from crosstape_schemas import CONSOLIDATED, Bar, Candle, FeedState, Gap, GapCause, Status, Trade
from tests.bus.tape import command, stamped
from tests.gateway.rest.served import KEYS, Served, publish, put, serving

S = 1_000_000_000
T0 = 1_785_999_960 * S
"""The beginning of a minute."""
MINUTE = 60 * S


def trade(second: int, venue: str = "kraken", instrument: str = "BTC-USDT") -> Trade:
    """Received at `T0` + `second`."""
    return Trade(venue, instrument, None, T0 + second * S, Decimal("57000.10"), Decimal("0.00000001"), None, str(second))


def bar(minute: int, *, venue: str = CONSOLIDATED, closed: bool = True, revision: int = 0, close: int = 1) -> Bar:
    """The bar of a minute."""
    opened, price = T0 + minute * MINUTE, Decimal(close)
    return Bar(
        venue, "BTC-USDT", None, opened, "1m", opened, opened + MINUTE, price, price, price, price, Decimal(1), Decimal(1), 1, None,
        closed=closed, revision=revision,
    )  # fmt: skip


def candle(minute: int, *, venue: str = "kraken", close: int = 1) -> Candle:
    """The candle of a minute."""
    opened, price = T0 + minute * MINUTE, Decimal(close)
    return Candle(venue, "BTC-USDT", None, opened, "1m", opened, opened + MINUTE, price, price, price, price, Decimal(1), closed=True)


def sign(venue: str) -> Status:
    """A sign of life."""
    return Status(venue, "*", None, T0, "*", FeedState.LIVE)


def ms(second: float) -> int:
    """The server's time at `T0` + `second`."""
    return T0 // 1_000_000 + int(second * 1_000)


async def put_trades(client: Redis, seconds: range, **more: Any) -> list[bytes]:
    """Trades that were written when they were received."""
    return [await put(client, trade(second, **more), kind="trade", ms=ms(second)) for second in seconds]


def numbers(rows: list[Any]) -> list[int]:
    """Their ids."""
    return [int(row["trade_id"]) for row in rows]


async def ask_trades(gateway: Served, **query: str | int) -> list[int]:
    """The ids of the trades of an answer."""
    return numbers(await gateway.rows("/api/trades", "trades", instrument="BTC-USDT", **query))


async def test_trades_come_as_they_are_on_the_tape_oldest_first(client: Redis, valkey: str) -> None:
    """The newest ones, with their bytes unchanged."""
    data = await put_trades(client, range(5))
    async with serving(valkey) as gateway:
        answer = await gateway.get("/api/trades", instrument="BTCUSDT", limit=3)

    assert answer.body.startswith(b'{"trades":[' + b",".join(data[2:]) + b'],"ts":')
    assert answer.json["more"] is True


async def test_published_trades_are_answered(client: Redis, valkey: str) -> None:
    """What a publisher writes can be read, of all venues or of one."""
    await publish(valkey, trade(1), trade(2), trade(3, "binance"), sign("kraken"))
    async with serving(valkey) as gateway:
        assert sorted(await ask_trades(gateway)) == [1, 2, 3]
        assert await ask_trades(gateway, venue="kraken") == [1, 2]


async def test_a_range_has_its_beginning_and_not_its_end(client: Redis, valkey: str) -> None:
    """Times are ns or ISO 8601; the newest of the range come, and `more` says whether there are others."""
    await put_trades(client, range(10))
    iso = dt.datetime.fromtimestamp(T0 // S + 5, dt.UTC).isoformat()
    async with serving(valkey) as gateway:
        assert await ask_trades(gateway, from_ts=T0 + 3 * S, to_ts=iso) == [3, 4]
        assert await ask_trades(gateway, from_ts=iso) == [5, 6, 7, 8, 9]
        assert await ask_trades(gateway, to_ts=T0 + 3 * S) == [0, 1, 2]
        answer = await gateway.get("/api/trades", instrument="BTC-USDT", to_ts=T0 + 6 * S, limit=2)

    assert (numbers(answer.json["trades"]), answer.json["more"]) == ([4, 5], True)


async def test_trades_written_late_are_in_the_range_in_which_they_were_received(client: Redis, valkey: str) -> None:
    """While the bus is away, trades wait: the tape has them later than they were received."""
    await put(client, trade(1), kind="trade", ms=ms(200))
    await put(client, trade(250), kind="trade", ms=ms(250))
    async with serving(valkey) as gateway:
        assert await ask_trades(gateway, from_ts=T0, to_ts=T0 + 100 * S) == [1]


async def test_pages_back_are_complete_and_have_nothing_twice(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`before` continues where an answer ended, also where one venue's trades are few among others."""
    monkeypatch.setattr(entries, "PAGE", 7)
    monkeypatch.setattr(entries, "FIRST_PAGE", 3)
    for second in range(40):
        await put(client, trade(second, "kraken" if second % 5 == 0 else "binance"), kind="trade", ms=ms(second))
    await publish(valkey, sign("kraken"))
    async with serving(valkey) as gateway:
        pages: list[list[int]] = []
        query: dict[str, Any] = {"venue": "kraken", "limit": 3}
        while True:
            answer = await gateway.get("/api/trades", instrument="BTC-USDT", **query)
            pages.append(numbers(answer.json["trades"]))
            if not answer.json["more"]:
                break
            query["before"] = answer.json["before"]

    assert pages == [[25, 30, 35], [10, 15, 20], [0, 5]]


async def test_trades_are_followed_by_asking_for_those_after_an_id(client: Redis, valkey: str) -> None:
    """`after` gives the oldest first, so that nothing is skipped; without new ones the id stays."""
    await put_trades(client, range(3))
    async with serving(valkey) as gateway:
        first = (await gateway.get("/api/trades", instrument="BTC-USDT", limit=1)).json
        await put_trades(client, range(3, 8))
        second = (await gateway.get("/api/trades", instrument="BTC-USDT", limit=3, after=first["after"])).json
        third = (await gateway.get("/api/trades", instrument="BTC-USDT", after=second["after"])).json
        fourth = (await gateway.get("/api/trades", instrument="BTC-USDT", after=third["after"])).json

    assert [numbers(answer["trades"]) for answer in (first, second, third, fourth)] == [[2], [3, 4, 5], [6, 7], []]
    assert [answer["more"] for answer in (first, second, third, fourth)] == [True, True, False, False]
    assert fourth["after"] == third["after"]


async def test_a_request_reads_a_bounded_part_of_a_stream(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter that finds nothing ends after so many entries; the answer says `more`, and from where to go on."""
    monkeypatch.setattr(entries, "READ_ENTRIES", 200)
    await put(client, trade(0, "kraken"), kind="trade", ms=ms(0))
    for second in range(1, 250):
        await put(client, trade(second, "binance"), kind="trade", ms=ms(second))
    await publish(valkey, sign("kraken"))
    async with serving(valkey) as gateway:
        first = (await gateway.get("/api/trades", instrument="BTC-USDT", venue="kraken", limit=5)).json
        second = (await gateway.get("/api/trades", instrument="BTC-USDT", venue="kraken", limit=5, before=first["before"])).json

    assert (first["trades"], first["more"]) == ([], True)
    assert (numbers(second["trades"]), second["more"]) == ([0], False)


async def test_entries_of_other_programs_are_left_out(client: Redis, valkey: str) -> None:
    """Neither a strange field nor a field `d` with something else spoils an answer."""
    name = KEYS.stream("trade", "BTC-USDT")
    await put_trades(client, range(1))
    await command(client, "XADD", name, "*", "d", "{broken")
    await command(client, "XADD", name, "*", "x", "y", "d", stamped(trade(9), 1, 2).decode())
    await command(client, "XADD", name, "*", "x", "y")
    async with serving(valkey) as gateway:
        assert await ask_trades(gateway) == [0, 9]
        assert await ask_trades(gateway, after="0") == [0, 9]


async def test_of_each_bar_the_newest_revision_comes(client: Redis, valkey: str) -> None:
    """In order of time, whatever the order on the tape; open states of a bar are replaced by later ones."""
    written = [
        (bar(0, closed=False, close=1), 10), (bar(0, closed=False, close=2), 20), (bar(0, close=3), 62),
        (bar(1, closed=False, close=4), 63), (bar(0, revision=1, close=5), 65), (bar(1, close=6), 122),
        (bar(2, closed=False, close=7), 125),
    ]  # fmt: skip
    data = [await put(client, event, kind="bar:1m", ms=ms(second)) for event, second in written]
    async with serving(valkey) as gateway:
        answer = await gateway.get("/api/bars", instrument="BTC-USDT", timeframe="1m")
        newest = await gateway.get("/api/bars", instrument="BTC-USDT", limit=2)

    assert answer.body.startswith(b'{"bars":[' + b",".join((data[4], data[5], data[6])) + b'],"ts":')
    assert answer.json["more"] is False
    assert [row["close"] for row in newest.json["bars"]] == ["6", "7"]
    assert newest.json["more"] is True


async def test_a_revision_far_behind_is_found(client: Redis, valkey: str) -> None:
    """A late trade changes an old bar: its newest revision is behind many later bars, and none of these is lost for it."""
    for minute in range(30):
        await put(client, bar(minute), kind="bar:1m", ms=ms(60 * minute + 62))
    await put(client, bar(27, revision=1, close=9), kind="bar:1m", ms=ms(60 * 29 + 63))
    await put(client, bar(2, revision=1, close=8), kind="bar:1m", ms=ms(60 * 29 + 64))
    async with serving(valkey) as gateway:
        three = await gateway.rows("/api/bars", "bars", instrument="BTC-USDT", limit=3)
        old = await gateway.rows("/api/bars", "bars", instrument="BTC-USDT", to_ts=T0 + 4 * MINUTE, limit=2)

    assert [(row["open_ts"], row["revision"]) for row in three] == [(T0 + m * MINUTE, r) for m, r in ((27, 1), (28, 0), (29, 0))]
    assert [(row["open_ts"], row["revision"]) for row in old] == [(T0 + m * MINUTE, r) for m, r in ((2, 1), (3, 0))]


async def test_past_candles_that_were_written_together_all_come(client: Redis, valkey: str) -> None:
    """At its start a connector writes the candles of the last hours at once, in any order."""
    for minute in (5, 3, 4, 1, 2, 0):
        await put(client, candle(minute), kind="candle:1m", ms=ms(400))
    await put(client, candle(6), kind="candle:1m", ms=ms(481))
    await put(client, candle(6, venue="binance"), kind="candle:1m", ms=ms(482))
    await publish(valkey, sign("kraken"), sign("binance"))
    async with serving(valkey) as gateway:
        rows = await gateway.rows("/api/candles", "candles", symbol="BTCUSDT", timeframe="1m", venue="kraken")
        part = await gateway.get("/api/candles", symbol="BTCUSDT", venue="kraken", from_ts=T0 + 2 * MINUTE, to_ts=T0 + 6 * MINUTE, limit=3)

    assert [row["open_ts"] for row in rows] == [T0 + minute * MINUTE for minute in range(7)]
    assert [row["open_ts"] for row in part.json["candles"]] == [T0 + minute * MINUTE for minute in (3, 4, 5)]
    assert part.json["more"] is True


async def test_candles_without_a_venue_are_the_bars_of_all(client: Redis, valkey: str) -> None:
    """So a client that knows no venue gets the consolidated ones; the bars of one venue have a path of their own."""
    await put(client, bar(0), kind="bar:1m", ms=ms(62))
    await put(client, bar(0, venue="kraken", close=2), kind="bar:1m", ms=ms(62))
    await publish(valkey, sign("kraken"))
    async with serving(valkey) as gateway:
        (consolidated,) = await gateway.rows("/api/candles", "candles", symbol="BTC-USDT", timeframe="1m")
        (of_venue,) = await gateway.rows("/api/bars", "bars", instrument="BTC-USDT", venue="kraken")

    assert (consolidated["type"], consolidated["venue"]) == ("bar", CONSOLIDATED)
    assert (of_venue["venue"], of_venue["close"]) == ("kraken", "2")


def gap(second: int, instrument: str = "BTC-USDT", venue: str = "kraken") -> Gap:
    """A gap that was reported at `T0` + `second`."""
    return Gap(venue, instrument, None, T0 + second * S, "trade", T0, T0 + second * S, second, GapCause.DISCONNECT)


async def test_gaps_are_those_of_instruments_and_of_whole_venues(client: Redis, valkey: str) -> None:
    """In order of time; of one instrument only its own. Statuses, which are on the same streams, are none."""
    await publish(valkey, gap(1), gap(3, "ETH-USDT"), sign("kraken"), gap(2, "*"), sign("binance"), gap(4, "*", "binance"))
    async with serving(valkey) as gateway:
        assert [row["missed"] for row in await gateway.rows("/api/gaps", "gaps")] == [1, 2, 3, 4]
        assert [row["missed"] for row in await gateway.rows("/api/gaps", "gaps", instrument="*", venue="kraken")] == [1, 2, 3]
        assert [row["missed"] for row in await gateway.rows("/api/gaps", "gaps", instrument="ETHUSDT")] == [3]
        newest = await gateway.get("/api/gaps", limit=2)

    assert ([row["missed"] for row in newest.json["gaps"]], newest.json["more"]) == ([3, 4], True)


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/api/trades", {}, (400, "missing_parameter", "instrument is missing")),
        ("/api/trades", {"limit": "0"}, (400, "bad_parameter", "limit = '0': expected a whole number from 1 to 50")),
        ("/api/trades", {"limit": "51"}, (400, "bad_parameter", "from 1 to 50")),
        ("/api/trades", {"limit": "1e3"}, (400, "bad_parameter", "from 1 to 50")),
        ("/api/trades", {"from_ts": "yesterday"}, (400, "bad_time", "from_ts = 'yesterday': expected ns")),
        ("/api/trades", {"from_ts": "1785999960000"}, (400, "bad_time", "look like milliseconds")),
        ("/api/trades", {"from_ts": "1785999960"}, (400, "bad_time", "look like seconds")),
        ("/api/trades", {"from_ts": "2026-02-30T00:00Z"}, (400, "bad_time", "expected ns")),
        ("/api/trades", {"from_ts": str(T0), "to_ts": str(T0)}, (400, "bad_time", "is not before")),
        ("/api/trades", {"after": "yesterday"}, (400, "bad_id", "expected an id that an answer gave")),
        ("/api/trades", {"before": "-1"}, (400, "bad_id", "expected an id that an answer gave")),
        ("/api/trades", {"after": "1", "before": "2"}, (400, "repeated_parameter", "leave one out")),
        ("/api/trades", {"timeframe": "1m"}, (400, "unknown_parameter", "'timeframe': no such parameter")),
        ("/api/bars", {"timeframe": "1min"}, (400, "unknown_timeframe", "did you mean 1m?")),
        ("/api/bars", {"timeframe": "5m"}, (404, "no_such_timeframe", "BTC-USDT has bars of 1m, and none of 5m")),
        ("/api/candles", {"timeframe": "1m", "venue": "kraken"}, (404, "not_on_tape", "the tape has no candles of BTC-USDT")),
        ("/api/candles", {"venue": "binanse"}, (404, "unknown_venue", "did you mean binance?")),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(
    client: Redis, valkey: str, path: str, query: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    """The error names the parameter, its value, and what is allowed or was meant."""
    await put(client, bar(0), kind="bar:1m", ms=ms(62))
    await publish(valkey, sign("kraken"), sign("binance"))
    if expected[1] != "missing_parameter":
        query = {"instrument": "BTC-USDT", **query}
    async with serving(valkey, GatewaySettings(port=0, rows=50)) as gateway:
        status, code, message = (await gateway.get(path, **query)).error

    assert (status, code) == expected[:2]
    assert expected[2] in message


@pytest.mark.parametrize(
    ("accepts", "encoding"),
    [
        ("gzip, deflate, br", "gzip"),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip"),
        ("*", "gzip"),
        ("gzip;q=0", None),
        ("identity", None),
        ("", None),
    ],
)
async def test_a_large_answer_is_compressed_for_who_can_read_that(client: Redis, valkey: str, accepts: str, encoding: str | None) -> None:
    """The rows are the same bytes; a small answer is sent as it is."""
    data = await put_trades(client, range(100))
    async with serving(valkey) as gateway:
        await gateway.parts.catalogue.look()
        headers = {"Accept-Encoding": accepts}
        large = await gateway.ask("/api/trades?instrument=BTC-USDT", headers=headers)
        small = await gateway.ask("/api/trades?instrument=BTC-USDT&limit=1", headers=headers)
        head = await gateway.ask("/api/trades?instrument=BTC-USDT", "HEAD", headers=headers)

    assert large.headers.get("Content-Encoding") == head.headers.get("Content-Encoding") == encoding
    assert large.headers["Vary"] == "Accept-Encoding"
    assert b",".join(data) in large.body
    assert "Content-Encoding" not in small.headers
    assert head.body == b""


@pytest.mark.parametrize(
    ("before", "expected"), [("0-0", []), ("0", []), (f"{ms(2)}", [0, 1]), (f"{ms(2)}-0", [0, 1]), (f"{ms(2)}-1", [0, 1, 2])]
)
async def test_before_any_id_is_what_came_before_it(client: Redis, valkey: str, before: str, expected: list[int]) -> None:
    """Before the first possible id is nothing. An id without its counter is the first of its millisecond."""
    await put_trades(client, range(4))
    async with serving(valkey) as gateway:
        assert numbers(await gateway.rows("/api/trades", "trades", instrument="BTC-USDT", before=before)) == expected
