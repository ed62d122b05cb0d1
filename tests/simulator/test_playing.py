"""Playing recordings: what was recorded comes out byte for byte, replies are the venue's own."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard

from crosstape_simulator.errors import RecordingError, SimulatorError
from crosstape_simulator.recordings.player import AHEAD
from crosstape_simulator.recordings.recording import Recording, rest_key
from crosstape_simulator.service import Simulator, simulator
from tests.simulator.client import Client, connect, get, still, ws
from tests.waiting import wait_until

T0 = 1_800_000_000 * 10**9
MS = 10**6
BINANCE = "wss://stream.binance.com:9443/stream"
ADVANCED = "wss://advanced-trade-ws.coinbase.com"
EXCHANGE = "wss://ws-feed.exchange.coinbase.com"
KRAKEN = "wss://ws.kraken.com/v2"
STREAMS = "?streams=btcusdt@trade/btcusdt@depth@100ms"


def inward(frame: str, at_ms: int | None = 0, connection: int = 0) -> dict[str, object]:
    """A line with a received frame."""
    return {"t": None if at_ms is None else T0 + at_ms * MS, "c": connection, "d": "in", "f": frame}


def capture(path: Path, venue: str, url: str, lines: Iterable[dict[str, object]]) -> str:
    """Write a capture, compressed if its name says so."""
    text = "".join(json.dumps(line) + "\n" for line in ({"capture": 1, "venue": venue, "url": url}, *lines)).encode()
    path.write_bytes(zstandard.compress(text) if path.suffix == ".zst" else text)
    return str(path)


def played(path: str, **changes: Any) -> Any:
    """Play one capture, as fast as it is taken."""
    return simulator(still(venues=(), recordings=(path,), speed=0.0, **changes))


def trade(number: int) -> str:
    """A Binance trade."""
    return f'{{"stream":"btcusdt@trade","data": {{"e":"trade","s":"BTCUSDT","t":{number},"p":"1.10","q":"2"}}}}'


def depth(number: int) -> str:
    """A Binance diff."""
    return f'{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","U":{number},"u":{number},"b":[],"a":[]}}}}'


def l2(number: int, product: str = "BTC-USD") -> str:
    """A book update of Advanced."""
    event = f'{{"type":"update","product_id":"{product}","updates":[]}}'
    return f'{{"channel":"l2_data","timestamp":"2026-08-24T22:34:13.8Z","sequence_num":{number},"events":[{event}]}}'


def subscriptions(number: int) -> str:
    """An acknowledgement of Advanced."""
    events = '[{"subscriptions":{"level2":["BTC-USD"]}}]'
    return f'{{"channel":"subscriptions","timestamp":"2026-08-24T22:34:13.81Z","sequence_num":{number},"events":{events}}}'


def book(checksum: int, kind: str = "update") -> str:
    """A book frame of Kraken."""
    return f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"BTC/USD","bids":[],"asks":[],"checksum":{checksum}}}]}}'


def kraken_reply(method: str, request_id: int | None = None, depth: int = 10) -> str:
    """A reply of Kraken."""
    identity = f'"req_id":{request_id},' if request_id is not None else ""
    result = f'{{"channel":"book","depth":{depth},"symbol":"BTC/USD"}}'
    return f'{{"method":"{method}",{identity}"result":{result},"success":true,"time_in":"x","time_out":"y"}}'


async def read(client: Client, count: int) -> list[str]:
    """The next frames as they are."""
    return [await client.text() for _ in range(count)]


@pytest.mark.parametrize("name", ["one.jsonl", "one.jsonl.zst"])
async def test_frames_are_played_byte_for_byte(tmp_path: Path, name: str) -> None:
    """In order, once what is in the recording has been subscribed; recorded replies are left to the server. Then the socket stays open."""
    frames = [depth(1), trade(5), trade(6), depth(2)]
    lines = [inward('{"result":null,"id":77}'), *map(inward, frames)]
    async with played(capture(tmp_path / name, "binance", BINANCE, lines)) as made, connect(ws(made, "binance")) as client:
        await client.send({"method": "SUBSCRIBE", "params": ["btcusdt@trade", "btcusdt@depth@100ms"], "id": 1})
        assert await read(client, 5) == ['{"result":null,"id":1}', *frames]
        await wait_until(made.finished, what="the recording is at its end")
        await client.send({"method": "LIST_SUBSCRIPTIONS", "id": 2})
        assert (await client.read())["id"] == 2


async def test_only_what_is_subscribed_is_played(tmp_path: Path) -> None:
    """A client that wants less gets less."""
    path = capture(tmp_path / "x.jsonl", "binance", BINANCE, map(inward, [depth(1), trade(5), depth(2), trade(6)]))
    async with played(path) as made, connect(ws(made, "binance") + "?streams=btcusdt@trade") as client:
        assert await read(client, 2) == [trade(5), trade(6)]


async def test_it_can_be_started_by_hand(tmp_path: Path) -> None:
    """Then subscriptions do not start it."""
    path = capture(tmp_path / "x.jsonl", "binance", BINANCE, map(inward, [trade(5), trade(6)]))
    async with played(path, start="manual") as made, connect(ws(made, "binance") + STREAMS) as client:
        await client.send({"method": "LIST_SUBSCRIPTIONS", "id": 2})
        assert (await client.read())["id"] == 2
        assert not made.players["binance"][0].started
        made.start("binance")
        assert await read(client, 2) == [trade(5), trade(6)]


@pytest.mark.parametrize(("speed", "least_s"), [(1.0, 0.4), (4.0, 0.1)])
async def test_the_pace_is_that_of_the_recording(tmp_path: Path, speed: float, least_s: float) -> None:
    """Or so many times as fast."""
    path = capture(tmp_path / "x.jsonl", "binance", BINANCE, [inward(trade(5)), inward(trade(6), 400)])
    spec = still(venues=(), recordings=(path,), speed=speed)
    async with simulator(spec) as made, connect(ws(made, "binance") + STREAMS) as client:
        await client.text()
        began = time.monotonic()
        await client.text()
        assert time.monotonic() - began > least_s * 0.9


async def test_rest_is_answered_from_the_recording(tmp_path: Path) -> None:
    """By path and symbol: the first request gets the first answer, and so on, then the last again; or the venue's own error."""
    lines = [
        {"t": T0, "c": 0, "d": "rest", "u": "https://api.binance.com/api/v3/exchangeInfo", "f": '{"symbols":[]}'},
        {"t": T0, "c": 0, "d": "rest", "u": "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000", "f": '{"lastUpdateId":1}'},
        inward(depth(2)),
        {"t": T0, "c": 0, "d": "rest", "u": "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000", "f": '{"lastUpdateId":9}'},
    ]
    async with played(capture(tmp_path / "x.jsonl", "binance", BINANCE, lines)) as made:
        answers = [(await get(made, "binance", "/api/v3/depth?symbol=BTCUSDT&limit=5000"))[1]["lastUpdateId"] for _ in range(3)]
        assert answers == [1, 9, 9]
        assert (await get(made, "binance", "/api/v3/exchangeInfo?permissions=SPOT"))[1] == {"symbols": []}
        assert (await get(made, "binance", "/api/v3/depth?symbol=NOPE"))[:2] == (400, {"code": -1121, "msg": "Invalid symbol."})


async def test_without_a_pace_it_does_not_run_away_from_the_snapshot(tmp_path: Path) -> None:
    """So many frames follow the place of a snapshot, then it waits for the request, so that a bounded buffer bridges."""
    url = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"
    snapshot = {"t": T0, "c": 0, "d": "rest", "u": url, "f": '{"lastUpdateId":2}'}
    frames = [depth(number) for number in range(1, 2_000)]
    lines = [*map(inward, frames[:3]), snapshot, *map(inward, frames[3:])]
    async with played(capture(tmp_path / "x.jsonl", "binance", BINANCE, lines)) as made, connect(ws(made, "binance") + STREAMS) as client:
        assert await read(client, 3 + AHEAD) == frames[: 3 + AHEAD]
        (player,) = made.players["binance"]
        assert player.played == 3 + AHEAD
        await get(made, "binance", "/api/v3/depth?symbol=BTCUSDT")
        assert await read(client, len(frames) - 3 - AHEAD) == frames[3 + AHEAD :]


@pytest.mark.parametrize("settle_s", [0.05, 1.2])
async def test_advanced_plays_acknowledgements_in_their_places(tmp_path: Path, settle_s: float) -> None:
    """They count: the numbers are the recording's, the subscriptions in them the client's own; heartbeats take none before the start."""
    path = capture(tmp_path / "x.jsonl", "coinbase", ADVANCED, map(inward, [l2(0), l2(1), subscriptions(2), l2(3)]))
    async with played(path, settle_s=settle_s) as made, connect(ws(made, "coinbase", "advanced")) as client:
        await client.send({"type": "subscribe", "channel": "heartbeats"})
        await client.send({"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USD"]})
        first, second, ack, last = await read(client, 4)
        assert [first, second, last] == [l2(0), l2(1), l2(3)]
        frame = json.loads(ack)
        assert frame["sequence_num"] == 2
        assert frame["events"] == [{"subscriptions": {"heartbeats": ["heartbeats"], "level2": ["BTC-USD"]}}]
        beat = await client.read()
        assert (beat["channel"], beat["sequence_num"]) == ("heartbeats", 4)


async def test_advanced_without_recorded_acknowledgements(tmp_path: Path) -> None:
    """One is put before the first frame with the number before it, so that the data keep theirs."""
    path = capture(tmp_path / "x.jsonl", "coinbase", ADVANCED, map(inward, [l2(7), l2(8)]))
    async with played(path) as made, connect(ws(made, "coinbase", "advanced")) as client:
        await client.send({"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USD"]})
        ack, *data = await read(client, 3)
        assert json.loads(ack)["sequence_num"] == 6
        assert data == [l2(7), l2(8)]


async def test_advanced_numbers_stay_whole_for_who_wants_less(tmp_path: Path) -> None:
    """Frames left out leave no hole; a hole that was recorded stays one."""
    path = capture(
        tmp_path / "x.jsonl", "coinbase", ADVANCED, map(inward, [l2(0), l2(1, "ETH-USD"), l2(2), l2(5), l2(6, "ETH-USD"), l2(7)])
    )
    async with played(path) as made, connect(ws(made, "coinbase", "advanced")) as client:
        await client.send({"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USD"]})
        seen = [json.loads(text) for text in await read(client, 5)]
        assert [frame["sequence_num"] for frame in seen] == [-1, 0, 1, 4, 5]
        assert {frame["events"][0]["product_id"] for frame in seen[1:]} == {"BTC-USD"}


async def test_both_feeds_of_one_capture(tmp_path: Path) -> None:
    """Connections are told apart by the address that they were opened to."""
    match = '{"type":"match","trade_id":10,"product_id":"BTC-USD","side":"sell"}'
    change = '{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1.0","2"]]}'
    lines = [
        {"t": T0, "c": 0, "d": "open", "u": "ws://127.0.0.1:1/advanced"},
        {"t": T0, "c": 1, "d": "open", "u": "ws://127.0.0.1:1/exchange"},
        inward('{"type":"subscriptions","channels":[]}', connection=1),
        inward(l2(0)),
        inward(match, connection=1),
        inward(l2(1)),
        inward(change, connection=1),
        {"t": T0, "c": 1, "d": "close", "f": "end"},
    ]
    async with (
        played(capture(tmp_path / "x.jsonl", "coinbase", "", lines), settle_s=0.3) as made,
        connect(ws(made, "coinbase", "advanced")) as advanced,
        connect(ws(made, "coinbase", "exchange")) as exchange,
    ):
        await exchange.send({"type": "subscribe", "channels": ["matches", "level2_batch"], "product_ids": ["BTC-USD"]})
        assert (await exchange.read())["type"] == "subscriptions"
        await advanced.send({"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USD"]})
        assert await read(exchange, 2) == [match, change]
        assert (await read(advanced, 3))[1:] == [l2(0), l2(1)]


async def test_kraken_replies_and_resyncs(tmp_path: Path) -> None:
    """The first acknowledgement is the server's, with the client's id; later ones are played where they stand, without foreign ids."""
    status = '{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2","connection_id":7}]}'
    resync = [kraken_reply("unsubscribe"), kraken_reply("subscribe"), book(3, "snapshot"), book(4)]
    frames = [status, kraken_reply("subscribe", 3), book(1, "snapshot"), '{"channel":"heartbeat"}', book(2), *resync]
    path = capture(tmp_path / "x.jsonl", "kraken", KRAKEN, map(inward, [*frames, kraken_reply("unsubscribe", 8)]))
    async with played(path) as made, connect(ws(made, "kraken")) as client:
        assert await client.text() == status
        await client.send({"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}, "req_id": 55})
        ack = await client.read()
        assert (ack["req_id"], ack["success"]) == (55, True)
        assert await read(client, len(frames) - 2) == frames[2:]
        assert "req_id" not in await client.read()


async def test_kraken_has_only_the_recorded_depth(tmp_path: Path) -> None:
    """Another would not fit the checksums: it is refused as the venue refuses one it does not have."""
    path = capture(tmp_path / "x.jsonl", "kraken", KRAKEN, map(inward, [kraken_reply("subscribe", depth=25), book(1, "snapshot")]))
    async with played(path) as made, connect(ws(made, "kraken")) as client:
        await client.read()
        await client.send({"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}})
        assert (await client.read())["error"] == "Subscription depth not supported"
        await client.send({"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 25}})
        assert (await client.read())["success"]
        assert await client.text() == book(1, "snapshot")


@pytest.mark.parametrize("repeat", [True, False])
async def test_who_comes_after_the_end(tmp_path: Path, repeat: bool) -> None:
    """Gets the recording again only if that is asked for."""
    path = capture(tmp_path / "x.jsonl", "binance", BINANCE, map(inward, [trade(5), trade(6)]))
    async with played(path, repeat=repeat) as made:
        async with connect(ws(made, "binance") + STREAMS) as client:
            assert await read(client, 2) == [trade(5), trade(6)]
        await wait_until(lambda: made.finished() or repeat, what="the recording is at its end")
        async with connect(ws(made, "binance") + STREAMS) as client:
            if repeat:
                assert await read(client, 2) == [trade(5), trade(6)]
            else:
                await client.send({"method": "LIST_SUBSCRIPTIONS", "id": 2})
                assert (await client.read())["id"] == 2


async def test_a_played_venue_beside_synthetic_ones(tmp_path: Path) -> None:
    """The recording takes the venue's place."""
    path = capture(tmp_path / "x.jsonl", "binance", BINANCE, map(inward, [trade(5)]))
    async with simulator(still(recordings=(path,), speed=0.0)) as made:
        assert set(made.servers) == {"binance", "coinbase", "kraken"}
        async with connect(ws(made, "binance") + STREAMS) as client:
            assert await client.text() == trade(5)
        async with connect(ws(made, "kraken")) as client:
            assert (await client.read())["channel"] == "status"


@pytest.mark.parametrize("recorded", ["/products", "/api/v3/brokerage/market/products"])
async def test_either_list_of_coinbases_products_makes_the_other(tmp_path: Path, recorded: str) -> None:
    """A recording holds one; a client may want the other."""
    exchange = [{"id": "BTC-USD", "base_currency": "BTC", "quote_currency": "USD", "quote_increment": "0.01", "status": "online"}]
    row = {"product_id": "BTC-USD", "base_currency_id": "BTC", "quote_currency_id": "USD", "quote_increment": "0.01", "status": "online"}
    body = json.dumps(exchange if recorded == "/products" else {"products": [row]})
    lines = [{"t": T0, "c": 0, "d": "rest", "u": f"https://x{recorded}", "f": body}]
    async with played(capture(tmp_path / "x.jsonl", "coinbase", ADVANCED, lines)) as made:
        assert (await get(made, "coinbase", "/products"))[1] == exchange
        (found,) = (await get(made, "coinbase", "/api/v3/brokerage/market/products?product_type=SPOT"))[1]["products"]
        assert row.items() <= found.items()


def test_a_file_that_is_no_capture_is_refused(tmp_path: Path) -> None:
    """With its name, and the line if one is broken; a line cut short at the end is where the recorder was killed."""
    path = tmp_path / "x.jsonl"
    path.write_text("nonsense\n")
    with pytest.raises(RecordingError, match=r"x\.jsonl: not a capture"):
        Recording(path)
    whole = Path(capture(path, "binance", BINANCE, map(inward, [trade(5)]))).read_text()
    path.write_text(whole + '{"t":1,"c":0,"d":"in","f":"{')
    assert Recording(path).frames == 1
    path.write_text(whole + "{}\n")
    with pytest.raises(RecordingError, match="line 3"):
        Recording(path)
    with pytest.raises(SimulatorError, match="recordings of cryptocom cannot be played"):
        Recording(Path(capture(path, "cryptocom", "wss://x", [])))


def test_requests_are_known_by_path_and_symbol() -> None:
    """Limits do not count."""
    assert rest_key("https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000") == ("/api/v3/depth", "BTCUSDT")
    assert rest_key("https://api.kraken.com/0/public/AssetPairs") == ("/0/public/AssetPairs", "")


CORPUS = os.environ.get("CROSSTAPE_CORPUS", "")
P = ["SKL-USD", "SKL-BTC", "BAND-GBP", "NMR-EUR", "BAND-BTC", "YFI-BTC", "DASH-BTC", "NU-GBP", "CRV-EUR", "SKL-GBP"]
REAL: Sequence[tuple[str, str, str, list[dict[str, object]]]] = [
    ("binance_spot_btcusdt_20240808", "", "?streams=btcusdt@trade/btcusdt@bookTicker/btcusdt@depth@100ms", []),
    ("kraken_v2_btcusd_d10_20260801", "", "", [{"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}}]),
    ("kraken_v2_btcusd_d25_20260802", "", "", [{"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 25}}]),
    (
        "tickvault_coinbase_advanced_btcusd_20260824",
        "advanced",
        "",
        [{"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USD"]}],
    ),
    (
        "cryptofeed_coinbase",
        "exchange",
        "",
        [{"type": "subscribe", "channels": ["level2_batch", "ticker", "matches"], "product_ids": P}],
    ),
]


@pytest.mark.skipif(not CORPUS, reason="CROSSTAPE_CORPUS is not set: there are no real recordings here")
@pytest.mark.parametrize(("name", "endpoint", "path", "requests"), REAL, ids=[row[0] for row in REAL])
async def test_real_recordings_come_out_as_they_went_in(name: str, endpoint: str, path: str, requests: list[dict[str, object]]) -> None:
    """Every frame that is not a reply, byte for byte and in order."""
    file = Path(CORPUS) / f"{name}.jsonl.zst"
    lines = zstandard.ZstdDecompressor().stream_reader(file.read_bytes()).read().splitlines()[1:]
    recorded = [line["f"] for line in map(json.loads, lines) if line["d"] == "in"]
    data = [frame for frame in recorded if not is_reply(frame)]
    async with played(str(file)) as made, connect(ws(made, next(iter(made.servers)), endpoint) + path) as client:
        await ask_for_snapshots(made)
        for request in requests:
            await client.send(request)
        seen: list[str] = []
        while len(seen) < len(data):
            frame = await client.text()
            if not is_reply(frame):
                seen.append(frame)
        assert seen == data


def is_reply(frame: str) -> bool:
    """Whether this answers a request."""
    return '"method":' in frame or '"subscriptions"' in frame


async def ask_for_snapshots(made: Simulator) -> None:
    """As a client would that keeps books."""
    if "binance" in made.servers:
        assert (await get(made, "binance", "/api/v3/depth?symbol=BTCUSDT&limit=5000"))[0] == 200
