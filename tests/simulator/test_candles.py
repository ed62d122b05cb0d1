"""Candles of the synthetic market: made of its trades, sent as each kind of venue sends them."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from crosstape_schemas import timeframes
from crosstape_simulator.faults import parse
from crosstape_simulator.market.grid import THURSDAYS, grid
from crosstape_simulator.service import Simulator, simulator
from crosstape_simulator.venues.registry import VENUES
from tests.simulator import toy
from tests.simulator.client import START_TS, still

S = 10**9
SYMBOL = "BTCUSDT"


@pytest.fixture(autouse=True)
def _listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VENUES, "toy", toy.VENUE)


class Toy:
    """A client that has been welcomed. Frames are unpacked."""

    def __init__(self, made: Simulator, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.made = made
        self.socket = socket

    async def read(self) -> Any:
        """The next frame."""
        return json.loads(gzip.decompress(await self.socket.receive_bytes(timeout=10)))

    async def subscribe(self, *topic: str) -> None:
        """Subscribe a topic, and read the acknowledgement."""
        await self.socket.send_json({"subscribe": topic})
        assert await self.read() == {"id": 0, "ok": True}

    async def until_answer(self) -> list[Any]:
        """All data that was sent before the answer to a request that is made now."""
        await self.socket.send_json({"hello": 1})
        frames = []
        while "unknown" not in (frame := await self.read()):
            frames.append(frame)
        return frames


@asynccontextmanager
async def connected(made: Simulator) -> AsyncIterator[Toy]:
    """Connect with a token of its own."""
    url, ws = made.rest_url["toy"], made.ws_url["toy"]
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{url}{toy.TOKEN}") as answered:
            given = await answered.json()
        assert given["url"] == ws
        async with http.ws_connect(f"{ws}?token={given['token']}&connectId=7") as socket:
            client = Toy(made, socket)
            assert await client.read() == {"welcome": "7"}
            yield client


@asynccontextmanager
async def client(**changes: Any) -> AsyncIterator[Toy]:
    """A slow market and one client of it."""
    async with simulator(still(venues=("toy",), control_port=0, **{"rate": 40.0, **changes})) as made, connected(made) as one:
        yield one


async def truth(made: Simulator, what: str, instrument: str, **query: str) -> Any:
    """An answer of the control API."""
    assert made.control is not None
    asked = {"venue": "toy", "instrument": instrument, "limit": "5000", **query}
    async with aiohttp.ClientSession() as http, http.get(f"{made.control.url}/truth/{what}", params=asked) as answered:
        return await answered.json()


def by_open(frames: list[Any]) -> dict[int, list[Any]]:
    """Open time → the candle's frames in order."""
    found: dict[int, list[Any]] = {}
    for frame in frames:
        found.setdefault(frame["data"]["open_ts"], []).append(frame["data"])
    return found


@pytest.mark.parametrize("timeframe", timeframes.TIMEFRAMES)
@pytest.mark.parametrize("ts", [START_TS, START_TS + 12_345 * S, 1_709_164_800 * S - 1, 1_735_689_600 * S])
def test_our_two_grids_agree(timeframe: str, ts: int) -> None:
    """The simulator's grid is written apart from the contract's, and has the same intervals."""
    open_ts = timeframes.open_of(timeframe, ts)
    assert grid(timeframe).interval(ts) == (open_ts, timeframes.close_of(timeframe, open_ts))


def test_a_venue_may_have_a_grid_of_its_own() -> None:
    """Weeks from Thursday, as several venues have them."""
    assert THURSDAYS.interval(START_TS).open_ts % (7 * 86_400 * S) == 0
    assert THURSDAYS.interval(START_TS) != grid("1w").interval(START_TS)


async def test_each_candle_ends_with_a_flag_and_holds_its_trades() -> None:
    """With a flag each candle is over exactly once, is the sum of its trades, and none is missing: empty ones are flat."""
    async with client() as one:
        await one.subscribe("flagged", SYMBOL, "1s")
        one.made.advance(30.0)
        seen = by_open(await one.until_answer())
        trades = (await truth(one.made, "trades", "BTC-USDT"))["trades"]
    over = {open_ts: [row for row in rows if row["over"]] for open_ts, rows in seen.items()}
    ended = {open_ts: rows[0] for open_ts, rows in over.items() if rows}
    assert len(ended) >= 27
    assert all(len(rows) <= 1 for rows in over.values())
    assert all(rows[-1]["over"] for open_ts, rows in seen.items() if open_ts in ended), "nothing follows the end"
    opens = sorted(ended)
    assert opens == list(range(opens[0], opens[-1] + S, S))
    empty = 0
    for open_ts, row in sorted(ended.items()):
        inside = [trade for trade in trades if open_ts <= trade["ts"] < open_ts + S]
        if not inside:
            empty += 1
            assert row["trades"] == 0
            assert row["open"] == row["high"] == row["low"] == row["close"]
            continue
        prices = [Decimal(trade["price"]) for trade in inside]
        assert [Decimal(row[name]) for name in ("open", "high", "low", "close")] == [prices[0], max(prices), min(prices), prices[-1]]
        assert Decimal(row["volume"]) == sum(Decimal(trade["size"]) for trade in inside)
        assert Decimal(row["quote_volume"]) == sum(Decimal(trade["size"]) * Decimal(trade["price"]) for trade in inside)
        assert Decimal(row["bought"]) == sum(Decimal(trade["size"]) for trade in inside if trade["taker"] == "buy")
        assert row["trades"] == len(inside)
    assert empty, "the market is slow enough for seconds without a trade"


@pytest.mark.parametrize("timeframe", ["1s", "1m"])
async def test_a_candle_that_is_over_does_not_run_again(timeframe: str) -> None:
    """Also where it was empty at first, and flat."""
    async with client(rate=4.0) as one:
        await one.subscribe("flagged", SYMBOL, timeframe)
        one.made.advance(400.0)
        seen = by_open(await one.until_answer())
    assert any(rows[0]["trades"] == 0 and rows[-1]["trades"] for rows in seen.values()) or timeframe == "1s"
    for rows in seen.values():
        assert not any(row["over"] for row in rows[:-1])


async def test_without_a_flag_the_last_frame_is_that_of_the_last_trade() -> None:
    """The next candle says that one is over; what was sent last of it was all of it, and nothing is sent of an empty interval."""
    async with client() as one:
        await one.subscribe("plain", SYMBOL, "1s")
        (snapshot,) = await one.until_answer()
        one.made.advance(30.0)
        seen = by_open(await one.until_answer())
        true = (await truth(one.made, "candles", "BTC-USDT", timeframe="1s"))["candles"]
    assert [row["open_ts"] for row in snapshot["data"]] == sorted(row["open_ts"] for row in snapshot["data"])
    assert snapshot["data"][-1]["close_ts"] >= START_TS
    last = {open_ts: rows[-1] for open_ts, rows in seen.items()}
    expected = {row["open_ts"]: row for row in true if row["close_ts"] > START_TS}
    assert last.keys() == expected.keys()
    for open_ts, row in last.items():
        assert not row["over"]
        for name in ("open", "high", "low", "close", "volume", "quote_volume", "trades"):
            assert row[name] == expected[open_ts][name]
        assert row["bought"] == expected[open_ts]["taker_buy_volume"]


async def test_a_venue_may_tell_of_an_empty_interval_afterwards() -> None:
    """Just before the first candle that has trades again."""
    async with client(rate=20.0) as one:
        await one.subscribe("late", SYMBOL, "1s")
        one.made.advance(40.0)
        frames = [frame["data"] for frame in await one.until_answer()]
    opens = list(dict.fromkeys(frame["open_ts"] for frame in frames))
    assert opens == list(range(opens[0], opens[-1] + S, S)), "none is left out, each comes after the one before"
    assert any(frame["trades"] == 0 for frame in frames)


async def test_frames_keep_a_venues_pace() -> None:
    """A candle that changes is sent at most every so long."""
    async with client(rate=400.0) as one:
        await one.subscribe("flagged", SYMBOL, "1m")
        one.made.advance(5.0)
        frames = await one.until_answer()
    times = [frame["ts"] for frame in frames if not frame["data"]["over"]]
    assert 10 < len(times) <= 25
    assert all(ts % 200_000_000 == 0 for ts in times)


async def test_larger_candles_hold_the_smaller_ones() -> None:
    """All timeframes are made of the same trades, an hour in a moment."""
    async with client(rate=2.0) as one:
        one.made.advance(2 * 3_600.0)
        hours, minutes = [(await truth(one.made, "candles", "BTC-USDT", timeframe=name))["candles"] for name in ("1h", "1m")]
    hour = hours[-2]
    inside = [row for row in minutes if hour["open_ts"] <= row["open_ts"] < hour["close_ts"]]
    assert len(inside) > 30
    assert sum(row["trades"] for row in inside) == hour["trades"]
    assert sum(Decimal(row["volume"]) for row in inside) == Decimal(hour["volume"])
    assert (inside[0]["open"], inside[-1]["close"]) == (hour["open"], hour["close"])


async def test_rest_has_the_candles_that_the_stream_had() -> None:
    """With flat ones where nothing was traded, or without."""
    async with client(rate=20.0) as one:
        one.made.advance(40.0)
        async with aiohttp.ClientSession() as http:
            url = f"{one.made.rest_url['toy']}/candles?symbol={SYMBOL}"
            async with http.get(url) as answered:
                traded = await answered.json()
            async with http.get(url + "&flat=1") as answered:
                filled = await answered.json()
        true = (await truth(one.made, "candles", "BTC-USDT", timeframe="1s"))["candles"]
    assert [row["open_ts"] for row in traded] == [row["open_ts"] for row in true]
    assert [row["open_ts"] for row in filled] == list(range(filled[0]["open_ts"], START_TS + 41 * S, S))
    flat = [row for row in filled if not row["trades"]]
    assert flat
    assert all(Decimal(row["volume"]) == 0 for row in flat)


async def test_figures_of_a_contract_are_sent_on_a_timer() -> None:
    """Mark price, index price and funding as they truly are, every three seconds; the settlement to come lies ahead."""
    async with client() as one:
        await one.subscribe("mark", "BTCPERP")
        one.made.advance(30.0)
        frames = (await one.until_answer())[1:]
        true = {row["ts"]: row for row in (await truth(one.made, "figures", "BTC-USDT-PERP"))["figures"]}
    assert len(frames) == 10
    for frame in frames:
        row, data = true[frame["ts"]], frame["data"]
        assert (data["mark"], data["index"], data["rate"]) == (row["mark_price"], row["index_price"], row["rate"])
        assert data["next"] == row["next_ts"] > frame["ts"]
        assert data["next"] % (8 * 3_600 * S) == 0
        assert Decimal(row["open_interest"]) > 0
    assert len({frame["data"]["mark"] for frame in frames}) > 1


async def test_dated_contracts_have_no_funding_and_spot_has_no_figures() -> None:
    """What does not exist is not invented."""
    async with client() as one:
        one.made.advance(3.0)
        dated = (await truth(one.made, "figures", "BTC-USDT-20261225"))["figures"]
        spot = await truth(one.made, "figures", "BTC-USDT")
    assert dated
    assert all("rate" not in row for row in dated)
    assert "no contract" in spot["error"]


async def test_liquidations_are_trades_of_contracts() -> None:
    """Every one that truly was comes, of all contracts on one topic; a pair has none."""
    names = {"BTCPERP": "BTC-USDT-PERP", "BTCUSD": "BTC-USD-PERP", "BTC2026": "BTC-USDT-20261225"}
    async with client(rate=400.0) as one:
        await one.subscribe("forced", "all")
        one.made.advance(20.0)
        seen = [frame["data"] for frame in await one.until_answer()]
        true = {
            (symbol, row["id"])
            for symbol, name in names.items()
            for row in (await truth(one.made, "liquidations", name))["liquidations"]
            if row["ts"] > START_TS
        }
        pair = (await truth(one.made, "liquidations", "BTC-USDT"))["liquidations"]
    assert true == {(data["symbol"], data["id"]) for data in seen}
    assert len(seen) == len(true) > 3
    assert pair == []


async def test_truth_is_in_base_units() -> None:
    """Contracts times their size; those of an inverse contract divided by the price."""
    async with client() as one:
        one.made.advance(10.0)
        linear, inverse = [(await truth(one.made, "trades", name))["trades"] for name in ("BTC-USDT-PERP", "BTC-USD-PERP")]
    assert all(Decimal(trade["size"]) % Decimal("0.001") == 0 for trade in linear)
    for trade in inverse:
        contracts = Decimal(trade["size"]) * Decimal(trade["price"]) / 10
        assert abs(contracts - round(contracts)) < Decimal("1e-20")


async def test_a_token_opens_one_connection() -> None:
    """Without one, or with one that was used, a client is told so and closed."""
    async with simulator(still(venues=("toy",))) as made, aiohttp.ClientSession() as http:
        async with http.post(f"{made.rest_url['toy']}{toy.TOKEN}") as answered:
            token = (await answered.json())["token"]
        async with http.ws_connect(f"{made.ws_url['toy']}?token={token}") as socket:
            assert json.loads(gzip.decompress(await socket.receive_bytes(timeout=10))) == {"welcome": ""}
        for query in (f"?token={token}", "", "?token=other"):
            async with http.ws_connect(f"{made.ws_url['toy']}{query}") as socket:
                assert json.loads(gzip.decompress(await socket.receive_bytes(timeout=10))) == {"error": 401}
                assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
                assert socket.close_code == 4401
        assert made.counters("toy").refused == 3


async def test_a_token_can_expire_before_it_is_used() -> None:
    """The fault: each token is refused, until it ends."""
    async with simulator(still(venues=("toy",))) as made, aiohttp.ClientSession() as http:
        running = made.faults.add(parse.from_text("expired"))
        async with http.post(f"{made.rest_url['toy']}{toy.TOKEN}") as answered:
            token = (await answered.json())["token"]
        async with http.ws_connect(f"{made.ws_url['toy']}?token={token}") as socket:
            assert json.loads(gzip.decompress(await socket.receive_bytes(timeout=10))) == {"error": 401}
        assert running.acted == 1
        made.faults.remove(running.id)
        async with connected(made) as one:
            await one.subscribe("plain", SYMBOL, "1m")


async def test_a_message_before_the_welcome_is_lost() -> None:
    """It is counted, and not answered."""
    async with simulator(still(venues=("toy",))) as made, aiohttp.ClientSession() as http:
        async with http.post(f"{made.rest_url['toy']}{toy.TOKEN}") as answered:
            token = (await answered.json())["token"]
        async with http.ws_connect(f"{made.ws_url['toy']}?token={token}") as socket:
            await socket.send_json({"subscribe": ["plain", SYMBOL, "1m"]})
            one = Toy(made, socket)
            assert await one.read() == {"welcome": ""}
            assert await one.until_answer() == []
        assert made.counters("toy").early == 1


async def test_a_client_that_answers_pings_stays() -> None:
    """The answer is not passed to the feed. Who does not answer is cut."""
    options = {"toy": {"ping_s": 0.0, "pong_within_s": 1.5}}
    async with simulator(still(venues=("toy",), options=options)) as made, connected(made) as good, connected(made) as bad:
        for _ in range(3):
            assert gzip.decompress(await good.socket.receive_bytes(timeout=10)) == b"Ping"
            await good.socket.send_str("Pong")
        while (message := await bad.socket.receive(timeout=10)).type is aiohttp.WSMsgType.BINARY:
            assert gzip.decompress(message.data) == b"Ping"
        assert bad.socket.close_code == 1006
        assert not good.socket.closed


async def test_a_silent_client_is_closed() -> None:
    """Data sent to it do not keep it alive."""
    async with simulator(still(venues=("toy",), options={"toy": {"silence_s": 0.5}})) as made, connected(made) as one:
        assert (await one.socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
        assert one.socket.close_code == 1000


@pytest.mark.parametrize("how", ["gzip", "binary"])
async def test_a_packed_frame_can_be_broken(how: str) -> None:
    """Cut after it was packed, or not packed at all; the next one is as usual."""
    async with client() as one:
        await one.subscribe("flagged", SYMBOL, "1s")
        running = one.made.faults.add(parse.from_text(f"malformed how={how} kind=candle"))
        one.made.advance(5.0)
        broken = await one.socket.receive_bytes(timeout=10)
        with pytest.raises((EOFError, gzip.BadGzipFile)):
            gzip.decompress(broken)
        assert (await one.read())["topic"] == ["flagged", SYMBOL, "1s"]
        assert running.acted == 1


async def test_an_oversized_frame_is_small_on_the_wire() -> None:
    """White space packs well: what a client must bound is what it unpacks."""
    async with client() as one:
        await one.subscribe("flagged", SYMBOL, "1s")
        one.made.faults.add(parse.from_text("oversized size=1000000 kind=candle"))
        one.made.advance(5.0)
        packed = await one.socket.receive_bytes(timeout=10)
        assert len(packed) < 10_000
        assert len(gzip.decompress(packed)) == 1_000_000


@pytest.mark.parametrize(("fault", "effect"), [("drop", -1), ("duplicate", 1)])
async def test_faults_act_on_candles(fault: str, effect: int) -> None:
    """A candle's frame is lost or comes twice, as any other's."""
    async with client() as one:
        await one.subscribe("plain", SYMBOL, "1m")
        await one.until_answer()
        one.made.faults.add(parse.from_text(f"{fault} kind=candle instrument=BTC-USDT count=1"))
        one.made.advance(10.0)
        frames = await one.until_answer()
        moves = (await truth(one.made, "trades", "BTC-USDT"))["trades"]
    moments = {trade["ts"] for trade in moves if trade["ts"] > START_TS}
    assert len(frames) == len(moments) + effect
