"""Setting faults: as text, as JSON, at the start and while it runs; and the truth behind them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_simulator.control import example
from crosstape_simulator.errors import FaultError, SimulatorError
from crosstape_simulator.faults import parse
from crosstape_simulator.faults.spec import Close, Drop, RestStatus, Stall
from crosstape_simulator.faults.table import FAULTS, rows, sentence
from crosstape_simulator.service import Simulator, simulator
from crosstape_simulator.truth import HISTORY
from crosstape_simulator.venues.registry import VENUES
from crosstape_simulator.venues.rewriting import Checksum, iso_times, unix_times
from tests.simulator.client import START_TS, still
from tests.simulator.test_playing import BINANCE as BINANCE_URL
from tests.simulator.test_playing import capture, depth, inward
from tests.simulator.wire import BINANCE, FEEDS, IDS, Feed, rig


def test_a_fault_is_read_from_text_and_from_json() -> None:
    """The same one."""
    wanted = Stall(venue="kraken", instrument="BTC-USDT", for_s=10.0)

    assert parse.from_text('stall instrument="BTC-USDT" venue=kraken for=10') == wanted
    assert parse.from_json(b'{"fault":"stall","venue":"kraken","instrument":"BTC-USDT","for":10}') == wanted
    assert parse.from_text("close code=1013 reason='so long'") == Close(code=1013, reason="so long")
    assert parse.from_text("drop") == Drop(kind="book", count=1)
    assert parse.from_text("rest_status status=502") == parse.from_text("rest-status status=502") == RestStatus(status=502)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("stal", "stal: no such fault; did you mean stall?"),
        ("", ": no such fault; there are cut, half-open, "),
        ("stall venue=krakn", "stall: venue=krakn: expected one of .*; did you mean kraken?"),
        ("stall instument=BTC-USDT", "stall: instument: no such parameter; did you mean instrument?"),
        ("stall for=-1", "stall: for=-1: expected a number ≥ 0"),
        ("stall for=soon", "stall: for=soon: expected a number"),
        ("stall for=nan", "stall: for=nan: expected a number"),
        ("drop probability=1.5", "drop: probability=1.5: expected a number > 0 and ≤ 1"),
        ("close code=99", "close: code=99: expected a whole number ≥ 1000"),
        ("rest-status status=404", "rest-status: status=404: expected one of"),
        ("checksum kind=trade", "checksum: kind=trade: expected one of"),
        ("stall BTC-USDT", "stall: 'BTC-USDT': expected NAME=VALUE"),
        ("stall venue='kraken", "No closing quotation"),
    ],
)
def test_a_mistake_is_named(text: str, error: str) -> None:
    """With the nearest valid name, or what was expected."""
    with pytest.raises(FaultError) as told:
        parse.from_text(text)
    assert error.partition(".*")[0] in str(told.value)
    assert error.partition(".*")[2] in str(told.value)


@pytest.mark.parametrize("body", [b'{"fault":"stall","for":"10"}', b'{"for":1}', b"{", b'{"fault":["stall"]}', b'{"fault":"stall","x":1}'])
def test_json_is_not_guessed_at(body: bytes) -> None:
    """What is not a fault as it is written is refused."""
    with pytest.raises(FaultError):
        parse.from_json(body)


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_can_be_written_and_is_in_the_table(name: str) -> None:
    """Its example is what it is by default; it has a sentence, and a venue that has it."""
    made = FAULTS[name]()

    assert parse.from_text(example(name)) == made
    assert parse.from_json(msgspec.json.encode(made)) == made
    (row,) = (row for row in rows() if row[0] == name)
    assert row[1] == sentence(FAULTS[name]) != ""
    assert set(row[2]) == set(VENUES)
    assert any(row[2].values())


@given(ts=st.integers(2_000_000_000, 3_000_000_000_000), ns=st.integers(-(10**15), 10**15))
def test_a_shifted_clock_can_be_shifted_back(ts: int, ns: int) -> None:
    """No digit of a time is lost."""
    frame = b'{"E":%d,"timestamp":"2027-01-15T08:00:%02d.%09dZ","x":"1970-01-01T00:00:00Z"}' % (ts + 10**12, ts % 60, ts % 10**9)

    by = ns // 10**6 * 10**6
    there = iso_times(unix_times("E")(frame, by), by)
    assert iso_times(unix_times("E")(there, -by), -by) == frame


@given(size=st.decimals(0, 10**6, places=8), crc=st.integers(0, 2**32 - 1))
def test_what_is_made_wrong_is_wrong_and_still_well_formed(size: Any, crc: int) -> None:
    """A checksum is another one of 32 bits; a level has another size above zero, and one that is removed is left alone."""
    frame = b'{"channel":"book","type":"update","data":[{"bids":[{"price":1.5,"qty":%s}],"checksum":%d}]}' % (f"{size:.8f}".encode(), crc)

    checksum = Checksum("checksum", "qty")
    (data,) = json.loads(checksum.wrong(frame))["data"]
    assert 0 <= data["checksum"] < 2**32
    assert data["checksum"] != crc
    changed = checksum.wrong_level(frame)
    assert (changed is None) is (size == 0)
    if changed is not None:
        assert 0 < json.loads(changed)["data"][0]["bids"][0]["qty"] != float(size)


@asynccontextmanager
async def controlled(**changes: Any) -> AsyncIterator[tuple[Simulator, aiohttp.ClientSession]]:
    """A still simulator with a control endpoint, and a client of it."""
    async with simulator(still(control_port=0, **changes)) as made:
        assert made.control is not None
        async with aiohttp.ClientSession(made.control.url) as http:
            yield made, http


async def test_faults_can_be_set_listed_and_ended_while_it_runs() -> None:
    """By text and by JSON; what is over stays in the list, with how often it acted."""
    async with controlled(venues=("kraken",)) as (made, http):
        assert json.loads(made.announce())["control"] == made.control.url if made.control else ""
        async with http.post("/faults", data="stall instrument=BTC-USDT for=60") as answer:
            assert answer.status == 201
            first = await answer.json()
        async with http.post("/faults", json={"fault": "close", "code": 1013}) as answer:
            second = await answer.json()
        assert (first["id"], first["state"], first["venues"]) == (1, "active", ["kraken"])
        assert (second["id"], second["state"], second["fault"]["code"]) == (2, "ended", 1013)
        async with http.delete("/faults/1") as answer:
            assert (answer.status, (await answer.json())["state"]) == (200, "ended")
        async with http.delete("/faults/1") as answer:
            assert (answer.status, await answer.json()) == (404, {"error": "no fault 1 is set"})
        async with http.get("/faults") as answer:
            assert [(one["id"], one["state"], one["acted"]) for one in await answer.json()] == [(1, "ended", 0), (2, "ended", 0)]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("stal", "stal: no such fault; did you mean stall?"),
        ("checksum venue=binance", "checksum: Binance's books have no checksum"),
        ("stall instrument=BTC-UST", "stall: instrument=BTC-UST: not listed; did you mean BTC-USDT?"),
        ("stall venue=coinbase", "stall: venue=coinbase: not simulated here; there are binance, kraken"),
        ('{"fault": "stall", "fro": 1}', "stall: fro: no such parameter; did you mean for?"),
    ],
)
async def test_what_cannot_be_set_is_told(body: str, error: str) -> None:
    """With the reason; nothing is set."""
    async with controlled(venues=("binance", "kraken")) as (made, http), http.post("/faults", data=body) as answer:
        assert (answer.status, await answer.json()) == (400, {"error": error})
        assert made.faults.listed() == []


async def test_the_endpoint_tells_what_there_is() -> None:
    """Its paths, and every fault with its sentence and where it exists."""
    async with controlled() as (_, http), http.get("/") as answer:
        page = await answer.json()
        assert "POST /faults" in page["paths"]
        assert [row["fault"] for row in page["faults"]] == list(FAULTS)
        assert page["history"] == HISTORY


async def test_faults_are_there_from_the_start() -> None:
    """Those of the specification."""
    async with simulator(still(venues=("binance",), faults=(parse.from_text("drop count=0"),))) as made:
        (running,) = made.faults.listed()
        assert (running.state, running.venues) == ("active", ("binance",))
    with pytest.raises(FaultError, match="no checksum"):
        async with simulator(still(venues=("binance",), faults=(parse.from_text("checksum"),))):
            pass


async def test_there_are_only_so_many() -> None:
    """A program that sets them without end is told so."""
    async with simulator(still(venues=("kraken",))) as made:
        fault = parse.from_text("drop count=0")
        for _ in range(100):
            made.faults.add(fault)
        with pytest.raises(FaultError, match="100 faults already"):
            made.faults.add(fault)


async def test_a_port_in_use_is_told() -> None:
    """By its address."""
    async with simulator(still(venues=("kraken",), control_port=0)) as made:
        assert made.control is not None
        port = int(made.control.url.rpartition(":")[2])
        with pytest.raises(SimulatorError, match=rf"--control 127.0.0.1:{port}: cannot listen there: .*in use"):
            async with simulator(still(venues=("kraken",), control_port=port)):
                pass


def ids_in(texts: list[str], feed: Feed) -> set[int]:
    """Of BTC's trades that a client saw."""
    found: set[int] = set()
    for text in texts:
        frame = json.loads(text)
        data = frame.get("data", frame)
        if feed.venue == "binance" and data.get("e") == "trade":
            found.add(data["t"])
        if feed.endpoint == "advanced" and frame["channel"] == "market_trades":
            found |= {int(row["trade_id"]) for event in frame["events"] for row in event["trades"]}
        if feed.endpoint == "exchange" and frame.get("type") == "match":
            found.add(frame["trade_id"])
        if feed.venue == "kraken" and frame.get("channel") == "trade":
            found |= {row["trade_id"] for row in data}
    return found


@pytest.mark.parametrize("feed", FEEDS, ids=IDS)
async def test_the_truth_knows_all_trades_whatever_is_sent(feed: Feed) -> None:
    """What a client saw is true; what a fault took from it is in the truth all the same, without a hole."""
    async with rig(feed, control_port=0) as one:
        assert one.made.control is not None
        await one.subscribe()
        assert one.made.market is not None
        pairs = one.made.market.market.pairs.values()
        last = next(pair.last.trade_id for pair in pairs if (pair.listing.base, pair.listing.quote) == ("BTC", "USDT"))
        one.set("drop kind=trade probability=0.5 count=0 instrument=BTC-USDT")
        seen = ids_in(await one.flow(10.0, 10), feed)
        async with aiohttp.ClientSession(one.made.control.url) as http:
            url = f"/truth/trades?venue={feed.venue}&instrument=BTC-USDT&after={last}"
            async with http.get(url) as answer:
                told = await answer.json()
            async with http.get(f"{url}&limit=2") as answer:
                assert (await answer.json())["trades"] == told["trades"][:2]
        true = [trade["id"] for trade in told["trades"]]
        assert seen < set(true)
        assert true == list(range(last + 1, told["last"] + 1))
        assert all(trade["ts"] > START_TS and trade["taker"] in ("buy", "sell") and "." in trade["price"] for trade in told["trades"])


async def test_the_truth_knows_the_best_prices() -> None:
    """With the venue's own number: what Binance's `bookTicker` said under it is what was true, and the last is the book as it is."""
    async with rig(BINANCE, control_port=0) as one:
        assert one.made.control is not None
        await one.subscribe()
        one.set("drop kind=book count=0")
        frames = [json.loads(text)["data"] for text in await one.flow() if "btcusdt@bookTicker" in text]
        async with aiohttp.ClientSession(one.made.control.url) as http:
            async with http.get("/truth/book?venue=binance&instrument=BTC-USDT&after=0&levels=3&limit=100000") as answer:
                told = await answer.json()
            async with http.get("/truth/book?venue=binance&instrument=BTC-USDT") as answer:
                plain = await answer.json()
        true = {top["number"]: [top["bid_price"], top["bid_size"], top["ask_price"], top["ask_size"]] for top in told["tops"]}
        assert frames
        for frame in frames:
            said = [frame["b"], frame["B"], frame["a"], frame["A"]]
            assert [float(number) for number in said] == [float(number) for number in true[frame["u"]]]
        assert len(told["bids"]) == len(told["asks"]) == 3
        assert told["bids"][0] + told["asks"][0] == list(true.values())[-1]
        assert (len(plain["bids"]), "tops" in plain) == (10, False)


async def test_the_truth_knows_every_book_that_there_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the oldest that is known, move by move, to the book as it is; also when moves have been forgotten, and in pieces."""
    monkeypatch.setattr("crosstape_simulator.truth.HISTORY", 50)
    async with rig(BINANCE, control_port=0) as one:
        assert one.made.control is not None
        await one.subscribe()
        await one.flow()
        async with aiohttp.ClientSession(one.made.control.url) as http:
            url = "/truth/moves?venue=binance&instrument=BTC-USDT"
            async with http.get(url) as answer:
                told = await answer.json()
            async with http.get(f"{url}&after={told['first'] + 10}&limit=3") as answer:
                piece = await answer.json()
            async with http.get("/truth/book?venue=binance&instrument=BTC-USDT&levels=100000") as answer:
                now = await answer.json()
        assert told["first"] > 0
        assert [move["index"] for move in told["moves"]] == list(range(told["first"] + 1, told["first"] + 51))
        assert piece["moves"] == told["moves"][10:13]
        assert told["moves"][-1]["number"] == now["number"]
        for side in ("bids", "asks"):
            levels = dict([*told["start"][side], *(change for move in told["moves"] for change in move[side])])
            assert {price: size for price, size in levels.items() if float(size)} == dict(now[side])


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/truth/moves?venue=kraken&instrument=BTC-XYZ", 404, "kraken, BTC-XYZ: there is no such instrument in the synthetic market"),
        ("/truth/trades?venue=kraken&instrument=BTC-XYZ", 404, "kraken, BTC-XYZ: there is no such instrument in the synthetic market"),
        ("/truth/trades?venue=kraken&instrument=BTC-USDT&after=x", 400, "after=x: expected a whole number ≥ 0"),
        ("/truth/book?venue=nope&instrument=BTC-USDT", 404, "nope, BTC-USDT: there is no such instrument in the synthetic market"),
    ],
)
async def test_what_is_not_known_is_told(path: str, status: int, error: str) -> None:
    """Not guessed."""
    async with controlled(venues=("kraken",)) as (_, http), http.get(path) as answer:
        assert (answer.status, await answer.json()) == (status, {"error": error})


async def test_recordings_can_be_played_with_faults(tmp_path: Path) -> None:
    """The venue's own symbols choose; the market's speed, its old snapshots and its truth are a synthetic market's alone."""
    path = capture(tmp_path / "a.jsonl", "binance", BINANCE_URL, [inward(depth(number), number) for number in range(10)])
    async with simulator(still(venues=(), recordings=(path,), speed=0.0, control_port=0)) as made:
        running = made.faults.add(parse.from_text("drop instrument=BTCUSDT count=3"))
        for text, reason in (("burst", "no synthetic market"), ("rest-old", "a recording's snapshots are what they are")):
            with pytest.raises(FaultError, match=reason):
                made.faults.add(parse.from_text(text))
        assert made.control is not None
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{made.control.url}/truth/trades") as answer:
                assert answer.status == 404
            async with http.ws_connect(str(made.ws_url["binance"]) + "?streams=btcusdt@depth@100ms") as socket:
                seen = [json.loads(await socket.receive_str(timeout=20))["data"]["u"] for _ in range(7)]
        assert seen == list(range(3, 10))
        assert running.acted == 3
