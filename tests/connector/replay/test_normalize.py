"""A capture becomes the events that the connector would have published."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import pytest

from crosstape_connector.capture.reader import NotACaptureError
from crosstape_connector.replay.normalize import Normalized, normalize
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import (
    Book,
    Candle,
    Delta,
    Event,
    FeedState,
    Funding,
    Gap,
    GapCause,
    Liquidation,
    Mark,
    OpenInterest,
    Quote,
    Status,
    Ticker,
    Trade,
    encode,
)
from tests.connector.fake_venue import CANDLES, CHANNELS, ID, INTEREST, book, candle_rules, candles, endpoint, fake, quote
from tests.connector.feeds.candles.test_sequence import told
from tests.connector.venues.golden import answers_of, frames_of

BINANCE = frames_of("binance")
ADVANCED = frames_of("coinbase", "advanced")
EXCHANGE = frames_of("coinbase", "exchange")
KRAKEN = frames_of("kraken")

INSTRUMENTS_URL = {
    "binance": "https://api.binance.com/api/v3/exchangeInfo",
    "coinbase": "https://api.exchange.coinbase.com/products",
    "kraken": "https://api.kraken.com/0/public/AssetPairs",
}


def line(kind: str, at: int | None, body: bytes = b"", *, connection: int = 0, url: str = "") -> bytes:
    """A line of a capture."""
    return msgspec.json.encode({"t": at, "c": connection, "d": kind, "f": body.decode(), "u": url})


def capture(venue: str, *lines: bytes, url: str = "", name: str = "") -> list[bytes]:
    """Header, instruments, lines."""
    header = msgspec.json.encode({"capture": 1, "venue": name or venue, "url": url})
    return [header, line("rest", 1, answers_of(venue)["instruments"], url=INSTRUMENTS_URL[venue]), *lines]


def frames(names: Iterable[bytes], start: int = 10, connection: int = 0) -> list[bytes]:
    """Lines of frames, received one after the other."""
    return [line("in", start + number, frame, connection=connection) for number, frame in enumerate(names)]


def run(venue: str, lines: list[bytes], **options: Any) -> tuple[list[Event], Normalized]:
    """Return all events of a capture, and its summary."""
    found = normalize(VENUES[venue], lines, **options)
    return list(found), found


def test_events_are_those_of_the_connector_numbered_as_on_the_tape() -> None:
    """`seq` counts per kind and instrument; `epoch` is 0, because no process publishes here."""
    events, found = run("binance", capture("binance", *frames([BINANCE["trade"], BINANCE["trade_taker_buys"], BINANCE["book_ticker"]])))

    trades = [event for event in events if isinstance(event, Trade)]
    assert [(trade.trade_id, trade.received_ts, trade.epoch, trade.seq) for trade in trades] == [
        ("4000001", 10, 0, 1),
        ("4000002", 11, 0, 2),
    ]
    assert [event.seq for event in events if isinstance(event, Quote)] == [1]
    assert [event.seq for event in events if isinstance(event, Status)] == [1, 2]
    assert found.summary.events == {"trade": 2, "quote": 1, "status": 2}
    assert found.summary.trades == {"BTC-USDT": 2}
    assert found.summary.frames == 3


def test_the_same_capture_gives_the_same_bytes() -> None:
    """Books are conflated by the times of the frames."""
    lines = capture("coinbase", *frames(EXCHANGE.values()), *frames(ADVANCED.values(), connection=1))

    assert [encode(event) for event in run("coinbase", lines)[0]] == [encode(event) for event in run("coinbase", lines)[0]]


def test_a_rest_snapshot_is_used_at_its_place() -> None:
    """The updates before it are buffered; it is requested once."""
    lines = capture(
        "binance",
        *frames([BINANCE["depth"]]),
        line("rest", 20, answers_of("binance")["snapshot"], url="https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"),
        *frames([BINANCE["raw_depth"]], 30),
    )

    events, found = run("binance", lines, delta=True)

    assert [(delta.sequence, delta.snapshot, delta.received_ts) for delta in events if isinstance(delta, Delta)] == [
        (103, True, 20),
        (105, False, 30),
    ]
    assert {name: count for name, count in found.summary.proofs.items() if count} == {
        "updates": 2,
        "links": 1,
        "bridged": 1,
        "snapshots": 1,
    }
    assert found.summary.resyncs == {"start": 1}
    assert found.summary.rest == {"instruments": 1, "snapshot": 1}


PAST = {
    "binance": (BINANCE["trade"], "BTCUSDT"),
    "coinbase": (EXCHANGE["match"], "BTC-USD"),
    "kraken": (KRAKEN["trade"], "BTC/USD"),
}


@pytest.mark.parametrize("venue", PAST)
def test_answers_with_trades_and_quotes_are_left_out(venue: str) -> None:
    """Events are made from frames only; such an answer is counted and changes nothing."""
    found = VENUES[venue]
    assert found.trades is not None
    assert found.quotes is not None
    frame, symbol = PAST[venue]
    paths = (found.trades.path(symbol, 1, 10**18), found.trades.newest(symbol), found.quotes.path([symbol]))
    bodies = (answers_of(venue)["trades"], answers_of(venue)["trades"], answers_of(venue)["quotes"])
    base = found.rest_urls[found.trades.rest]
    answers = [line("rest", 20 + at, body, url=base + path) for at, (path, body) in enumerate(zip(paths, bodies, strict=True))]

    without, _ = run(venue, capture(venue, *frames([frame]), *frames([frame], 30)))
    events, normalized = run(venue, capture(venue, *frames([frame]), *answers, *frames([frame], 30)))

    assert events == without
    assert normalized.summary.rest == {"instruments": 1, "unused": 3}
    assert not normalized.summary.unhandled


def test_books_are_conflated_by_the_frames_times() -> None:
    """The last book is published at the end, even if it is not due."""
    later = EXCHANGE["l2update"].replace(b"2.5", b"2.6")
    lines = capture("coinbase", *frames([EXCHANGE["snapshot"], EXCHANGE["l2update"], later]), url="wss://ws-feed.exchange.coinbase.com")

    events, _ = run("coinbase", lines, book_interval_ns=1_000, book_depth=1)

    books = [event for event in events if isinstance(event, Book)]
    assert [(book.received_ts, book.asks, book.state) for book in books] == [
        (10, ((Decimal("91000.02"), Decimal(2)),), FeedState.LIVE),
        (12, ((Decimal("91000.02"), Decimal("2.6")),), FeedState.LIVE),
    ]


@pytest.mark.parametrize("url", ["wss://advanced-trade-ws.coinbase.com", "ws://127.0.0.1:9999"])
def test_the_dialect_is_that_of_the_url_or_of_the_first_frame(url: str) -> None:
    """A capture of one venue may hold connections to several endpoints."""
    lines = capture(
        "coinbase",
        line("open", 2, connection=0, url=url),
        line("open", 3, connection=1, url=url.replace("advanced-trade-ws", "ws-feed.exchange")),
        *frames([ADVANCED["l2_snapshot"]], connection=0),
        *frames([EXCHANGE["match"]], 20, connection=1),
    )

    events, found = run("coinbase", lines)

    assert not found.summary.unhandled
    assert {type(event) for event in events} == {Status, Quote, Book, Trade}


def test_a_recording_may_have_another_name_for_the_venue() -> None:
    """A recording of another venue is refused: `BTCUSDT` is a pair here and a perpetual there."""
    assert run("coinbase", capture("coinbase", *frames([EXCHANGE["match"]]), name="coinbase_exchange"))[0]
    with pytest.raises(NotACaptureError, match="binance_usdm"):
        normalize(VENUES["binance"], capture("binance", name="binance_usdm"))


def test_frames_without_a_receive_time_have_that_of_the_venue() -> None:
    """The newest venue time in the frame, but never before the line before."""
    lines = capture(
        "coinbase",
        line("in", None, ADVANCED["l2_snapshot"]),
        line("in", None, ADVANCED["trades_snapshot"]),
        line("in", None, ADVANCED["trades_update"]),
        line("in", None, ADVANCED["heartbeats"]),
        line("in", None, ADVANCED["l2_update"]),
    )

    events, _ = run("coinbase", lines)

    new_year = 1_767_225_600_000_000_000
    assert [event.received_ts for event in events if isinstance(event, Trade)] == [new_year + 1_900_000_000] * 2
    times = [event.received_ts for event in events]
    assert times == sorted(times)
    assert times[0] == new_year + 100_000_009


def test_lines_may_be_a_little_out_of_order() -> None:
    """Each frame keeps its receive time."""
    lines = capture("binance", line("in", 20, BINANCE["trade"]), line("in", 15, BINANCE["trade_taker_buys"]))

    assert [event.received_ts for event in run("binance", lines)[0] if isinstance(event, Trade)] == [20, 15]


def test_a_closed_connection_leaves_a_gap() -> None:
    """It is reported when data come again. Opening a connection with a number that is in use closes the former one."""
    first, second = (BINANCE["book_ticker"].replace(b"70001", number) for number in (b"70001", b"70009"))
    lines = capture(
        "binance",
        line("open", 5, connection=3, url="ws://x"),
        *frames([first], connection=3),
        line("close", 20, b"closed by the venue", connection=3),
        line("close", 21, connection=9),
        *frames([second], 30, connection=4),
        line("open", 40, connection=4, url="ws://x"),
        *frames([second], 50, connection=4),
    )

    events, found = run("binance", lines)

    assert [(gap.from_ts, gap.to_ts) for gap in events if isinstance(gap, Gap)] == [(10, 30), (30, 50)]
    assert [(status.state.value, status.reason) for status in events if isinstance(status, Status)] == [
        ("live", ""), ("down", "closed by the venue"), ("live", ""), ("down", "opened anew"), ("live", ""),
    ]  # fmt: skip
    assert found.summary.gaps == {"quote disconnect": 2}


def test_a_feed_that_the_recorder_unsubscribed_has_a_gap() -> None:
    """Until the recorder subscribed it again."""
    book = KRAKEN["book_snapshot"].replace(b'"checksum":0', b'"checksum":%d' % checksum())
    lines = capture("kraken", *frames([KRAKEN["ack"], book, KRAKEN["unsubscribed"], KRAKEN["ack"], book]))

    events, found = run("kraken", lines)

    assert [(gap.kind, gap.from_ts, gap.to_ts, gap.cause) for gap in events if isinstance(gap, Gap)] == [
        ("book", 11, 14, GapCause.DISCONNECT)
    ]
    assert found.summary.session == {"acknowledged": 2, "unsubscribed": 1}


def checksum() -> int:
    """The checksum of the golden book, computed from its digits."""
    from zlib import crc32

    return crc32(b"91000120000000091000510091000050000000909999100000000")


def test_a_book_that_fails_its_checksum_is_followed_by_a_gap() -> None:
    """No book of that frame is published."""
    events, found = run("kraken", capture("kraken", *frames([KRAKEN["book_snapshot"]])))

    assert [gap.cause for gap in events if isinstance(gap, Gap)] == [GapCause.CHECKSUM]
    assert not [event for event in events if isinstance(event, Book)]
    assert found.summary.resyncs == {"checksum": 1}


def test_what_cannot_be_used_is_counted_and_the_first_is_shown() -> None:
    """Frames, answers and invalid base64."""
    lines = capture(
        "binance",
        *frames([b"garbage", b"more garbage", b'{"stream":"x@soothsayer","data":1}', BINANCE["trade"].replace(b"btcusdt", b"xrpusdt")]),
        msgspec.json.encode({"t": 20, "d": "in", "b": "?"}),
        line("rest", 21, b"garbage", url=INSTRUMENTS_URL["binance"]),
        line("rest", 22, b"[]", url="https://api.binance.com/api/v3/trades?symbol=BTCUSDT"),
        line("rest", 23, answers_of("binance")["snapshot"], url="https://api.binance.com/api/v3/depth?symbol=XRPUSDT"),
        line("out", 24, b"{}"),
        line("what", 25),
    )

    _, found = run("binance", lines)

    assert found.summary.unhandled == {"malformed": 4, "unknown": 1, "symbol": 1}
    assert [(first.kind, first.frame[:7]) for first in found.summary.first_unhandled] == [
        ("malformed", b"garbage"), ("unknown", b'{"strea'), ("symbol", b'{"strea'),
    ]  # fmt: skip
    assert found.summary.rest == {"instruments": 2, "unused": 2}


def test_what_the_connector_could_not_use_is_not_used_here() -> None:
    """An oversized frame may be good JSON, and a refusal a good answer:

    the connector skipped them, so they are skipped and counted here.
    """
    bad = [
        {"t": 10, "c": 1, "d": "in", "f": BINANCE["trade"].decode(), "bad": "oversized"},
        {"t": 11, "c": 0, "d": "rest", "u": "https://api.binance.com/api/v3/depth?symbol=BTCUSDT", "f": "{}", "bad": "refused"},
    ]
    events, found = run("binance", capture("binance", *map(msgspec.json.encode, bad)))

    assert not events
    assert found.summary.frames == 1
    assert found.summary.unhandled == {"oversized": 1}
    assert found.summary.first_unhandled[0].frame == BINANCE["trade"]
    assert found.summary.rest == {"instruments": 1, "failed": 1}


def test_files_of_one_capture_are_read_one_after_the_other() -> None:
    """A later file begins with the connections that go on: they are not opened a second time."""
    again = {"t": 5, "c": 3, "d": "open", "u": "ws://x", "repeated": True}
    first = capture("binance", line("open", 5, connection=3, url="ws://x"), *frames([BINANCE["book_ticker"]], connection=3))
    later = capture("binance", msgspec.json.encode(again), *frames([BINANCE["book_ticker"]], 20, connection=3))

    events, _ = run("binance", [*first, *later])
    alone, _ = run("binance", later)

    assert [type(event) for event in events] == [Status, Quote, Quote]
    assert [type(event) for event in alone] == [Status, Quote]


def test_a_connection_that_was_taken_over_leaves_no_gap() -> None:
    """The next connection had its feeds before it was closed."""
    lines = capture(
        "binance",
        *frames([BINANCE["book_ticker"]], connection=1),
        *frames([BINANCE["book_ticker"]], 20, connection=2),
        line("close", 30, b"stopped", connection=1),
        *frames([BINANCE["book_ticker"]], 40, connection=2),
    )

    assert [type(event) for event in run("binance", lines)[0]] == [Status, Quote, Quote, Quote]


def test_a_venue_without_rest_snapshots_uses_no_answer_but_the_instruments() -> None:
    """Kraken's depth by REST does not have all digits."""
    lines = capture("kraken", line("rest", 5, b"{}", url="https://api.kraken.com/0/public/Depth?pair=XBTUSD"))

    assert run("kraken", lines)[1].summary.rest == {"instruments": 1, "unused": 1}


def test_the_summary_counts_what_is_no_event() -> None:
    """Odd values, refusals, rotations, duplicates, and outputs of kinds that are not published."""
    exchange = [EXCHANGE[name] for name in ("match", "match", "error", "snapshot", "l2update_no_time")]
    _, coinbase = run("coinbase", capture("coinbase", *frames(exchange)))
    _, binance = run("binance", capture("binance", *frames([BINANCE["shutdown"]])))

    assert coinbase.summary.duplicates == 1
    assert coinbase.summary.odd == {"time": 1}
    assert coinbase.summary.session == {"rejected": 1}
    assert coinbase.summary.unwanted == 0
    assert binance.summary.session == {"rotate": 1}


def test_all_kinds_of_a_venue_are_there() -> None:
    """With deltas, if they are requested."""
    book = KRAKEN["book_snapshot"].replace(b'"checksum":0', b'"checksum":%d' % checksum())
    lines = capture("kraken", *frames([KRAKEN["status"], KRAKEN["trade_snapshot"], KRAKEN["trade"], KRAKEN["ticker"], book]))

    kinds = {type(event) for event in run("kraken", lines, delta=True)[0]}

    assert kinds == {Status, Trade, Ticker, Quote, Book, Delta}
    assert Delta not in {type(event) for event in run("kraken", lines)[0]}


def kraken_book(kind: str, second: int, bids: dict[str, str], asks: dict[str, str], whole: dict[str, dict[str, str]]) -> bytes:
    """A frame of Kraken's book, whose checksum is that of the book after it, `whole`."""
    sides = [[(Decimal(price), Decimal(size)) for price, size in whole[side].items()] for side in ("bids", "asks")]
    rule = VENUES["kraken"].book.checksum
    assert rule is not None
    levels = [",".join(f'{{"price":{price},"qty":{size}}}' for price, size in side.items()) for side in (bids, asks)]
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"BTC/USD","bids":[{levels[0]}],"asks":[{levels[1]}],'
        f'"checksum":{rule(*sides)},"timestamp":"2026-01-01T00:00:{second:02}Z"}}]}}'
    ).encode()


def test_of_two_connections_that_overlap_the_younger_waits() -> None:
    """The newer one replaces the older: their frames alternate, without a gap, a broken book, or an event twice."""
    asks = {"91000.1": "2.00000000"}
    books = [{"bids": {"91000.0": f"0.{number}0000000"}, "asks": asks} for number in range(1, 6)]
    snapshots = [kraken_book("snapshot", second, book["bids"], asks, book) for second, book in enumerate(books)]
    updates = [kraken_book("update", second, book["bids"], {}, book) for second, book in enumerate(books)]
    older, younger = partial(line, connection=0), partial(line, connection=1)
    lines = [
        older("open", 1),
        older("in", 2, snapshots[0]),
        older("in", 3, KRAKEN["trade"]),
        older("in", 4, updates[1]),
        younger("open", 5),
        younger("in", 6, snapshots[2]),
        younger("in", 7, KRAKEN["trade"]),
        younger("in", 8, updates[3]),
        older("in", 9, updates[2]),
        older("in", 10, updates[3]),
        older("close", 11),
        younger("in", 12, updates[4]),
    ]

    events, found = run("kraken", capture("kraken", *lines), book_interval_ns=0)

    assert not [event for event in events if isinstance(event, Gap)]
    assert {event.state for event in events if isinstance(event, Status) and event.instrument == "BTC-USD"} == {FeedState.LIVE}
    assert [event.bids[0][1] for event in events if isinstance(event, Book)][-1] == Decimal("0.50000000")
    assert [event.trade_id for event in events if isinstance(event, Trade)] == ["702", "703"]
    assert found.summary.duplicates == 2


def test_a_silent_connection_counts_as_closed() -> None:
    """Recorders may leave out the closing: the newer connection is used after ten seconds of silence of the older one."""
    second = 1_000_000_000
    lines = [
        *frames([BINANCE["trade"]], second),
        *frames([BINANCE["trade_taker_buys"]], 2 * second, connection=1),
        *frames([BINANCE["book_ticker"]], 12 * second, connection=1),
    ]

    events, _ = run("binance", capture("binance", *lines))

    assert [event.trade_id for event in events if isinstance(event, Trade)] == ["4000001", "4000002"]


@pytest.mark.parametrize("bad", [False, True])
def test_a_recorded_frame_that_cannot_be_read_is_a_gap_of_its_quote(*, bad: bool) -> None:
    """Also if the connector has marked the frame as bad."""
    good, cut = BINANCE["book_ticker"], BINANCE["book_ticker"][:60]
    marked = msgspec.json.encode({"t": 11, "c": 0, "d": "in", "f": cut.decode(), "bad": "truncated"})
    unknown = msgspec.json.encode({"t": 11, "c": 0, "d": "in", "f": good.decode(), "bad": "unknown"})
    lines = [*frames([good]), unknown, marked if bad else line("in", 11, cut), *frames([good], start=12)]

    events, found = run("binance", capture("binance", *lines))

    assert [one.state for one in events if isinstance(one, Quote)] == [FeedState.LIVE, FeedState.RECOVERING, FeedState.LIVE]
    assert [(gap.kind, gap.from_ts, gap.to_ts, gap.cause) for gap in events if isinstance(gap, Gap)] == [
        ("quote", 10, 12, GapCause.UNKNOWN)
    ]
    assert found.summary.unhandled == {"truncated": 1, "unknown": 1}


def fake_capture(*lines: bytes) -> list[bytes]:
    """A capture of the fake venue, which lists a perpetual."""
    header = msgspec.json.encode({"capture": 1, "venue": ID, "url": "ws://192.0.2.1/main"})
    return [header, line("rest", 1, b'{"AAAUSDP": true}', url="http://192.0.2.1/instruments"), *lines]


def test_candles_of_a_capture_are_those_of_the_tape() -> None:
    """Only of the timeframes that are asked for; past ones by REST are not used, so what a lost connection hid is a gap."""
    said = [candles("AAAUSDP", (7, 1)), candles("AAAUSDP", (7, 2), (8, 1)), candles("AAAUSDP", (5, 9), timeframe="5m")]
    lines = [*frames(said), line("close", 20), *frames([candles("AAAUSDP", (10, 3))], start=30, connection=1)]
    venue = fake(candles=candle_rules("none"), candle_source=CANDLES)

    found = normalize(venue, fake_capture(*lines), candles=["1m"])

    assert told([event for event in found if isinstance(event, Candle | Gap)]) == ["7:1", "7:2", "7:2.", "8:1", "gap 11-30", "10:3"]
    assert (found.summary.events["candle:1m"], found.summary.unwanted, found.summary.unhandled) == (5, 1, {})


def test_figures_of_a_capture_are_those_of_the_tape() -> None:
    """Those of the stream, each liquidation, and those that are polled, at the time of their answer."""
    said = [b'{"ch": "marks", "s": "AAAUSDP", "p": "5", "q": "0.01"}', b'{"ch": "liquidations", "s": "AAAUSDP", "p": "5", "q": "1"}']
    polled = line("rest", 15, b'{"AAAUSDP": "12"}', url="http://192.0.2.1/interest?symbols=AAAUSDP")
    channels = {kind: channel for kind, channel in CHANNELS.items() if kind != "open_interest"}
    venue = fake(endpoint(channels=channels, hosts=("192.0.2.1",)), polled=(INTEREST,))
    lines = [*frames(said), polled, *frames(said, start=20)]

    for capture_of in (fake_capture(*lines), iter(fake_capture(*lines))):
        found = normalize(venue, capture_of)
        events = [event for event in found if not isinstance(event, Status)]
        assert [(type(event), event.received_ts) for event in events] == [
            (Mark, 10), (Funding, 10), (Liquidation, 11), (OpenInterest, 15), (Liquidation, 21),
        ]  # fmt: skip
        assert (found.summary.rest["values"], found.summary.unhandled) == (1, {})


def test_quotes_and_books_of_two_connections_flow_side_by_side() -> None:
    """A book is not the source of the quotes, where the venue has a stream of its own for them: neither connection waits for the other."""
    venue = fake(endpoint("books", {"book": "book"}, hosts=("/books",)), endpoint("market", {"quote": "quotes"}, hosts=("/market",)))
    lines = [
        msgspec.json.encode({"capture": 1, "venue": "fake", "url": ""}),
        line("rest", 1, b'{"AAAUSD": true}', url="http://192.0.2.1/instruments"),
        line("open", 2, connection=1, url="ws://192.0.2.1/books"),
        line("open", 3, connection=2, url="ws://192.0.2.1/market"),
        line("in", 4, book("AAAUSD", 1, snap=True), connection=1),
        line("in", 5, quote("AAAUSD", bid="10.1"), connection=2),
        line("in", 6, book("AAAUSD", 2), connection=1),
        line("in", 7, quote("AAAUSD", bid="10.2"), connection=2),
    ]
    events = list(normalize(venue, lines))
    assert [(event.received_ts, str(event.bid_price)) for event in events if isinstance(event, Quote)] == [(5, "10.1"), (7, "10.2")]


GATE = frames_of("gateio")
PERPETUALS = frames_of("gateio_futures")
DEPTH = b'{"id":102,"current":1767225600090,"update":1767225600080,"asks":[["91000.2","0.5"]],"bids":[["91000.1","3.1"]]}'
DEPTH_OF_CONTRACTS = (
    b'{"id":102,"current":1767225600.09,"update":1767225600.08,"asks":[{"p":"91000.2","s":5000}],"bids":[{"p":"91000.1","s":31000}]}'
)


def gate(venue: str, *lines: bytes) -> list[bytes]:
    """A capture of Gate: its address is the same whatever its books are."""
    url = {"gateio": "wss://api.gateio.ws/ws/v4/", "gateio_futures": "wss://fx-ws.gateio.ws/v4/ws/usdt"}[venue]
    header = msgspec.json.encode({"capture": 1, "venue": "gate" if venue == "gateio" else venue, "url": url})
    place = "spot/currency_pairs" if venue == "gateio" else "futures/usdt/contracts"
    return [header, line("rest", 1, answers_of(venue)["instruments"], url=f"https://api.gateio.ws/api/v4/{place}"), *lines]


def test_the_table_of_a_recording_is_that_of_the_channel_of_its_books() -> None:
    """Where addresses do not tell: a full book and changes on one channel, changes after an answer by REST, or complete books."""
    spot_url = "https://api.gateio.ws/api/v4/spot/order_book?currency_pair=BTC_USDT&limit=100&with_id=true"
    url = "https://api.gateio.ws/api/v4/futures/usdt/order_book?contract=BTC_USDT&limit=100&with_id=true"
    captures = {
        "full": ("gateio", gate("gateio", *frames([GATE["book_full"], GATE["book_delta"], GATE["order_book_update"]])), 2),
        "changes": ("gateio", gate("gateio", line("rest", 9, DEPTH, url=spot_url), *frames([GATE["order_book_update"]])), 2),
        "complete": ("gateio", gate("gateio", *frames([GATE["order_book"], GATE["order_book"]])), 1),
        "contracts": (
            "gateio_futures",
            gate("gateio_futures", line("rest", 9, DEPTH_OF_CONTRACTS, url=url), *frames([PERPETUALS["order_book_update"]])),
            1,
        ),
        "complete of contracts": ("gateio_futures", gate("gateio_futures", *frames([PERPETUALS["order_book"]])), 1),
    }
    for name, (venue, lines, bids) in captures.items():
        for given in (lines, iter(lines)):  # a file, and a pipe
            found = normalize(VENUES[venue], given, book_interval_ns=0)
            books = [event for event in found if isinstance(event, Book)]
            assert books[-1].state is FeedState.LIVE, name
            assert (len(books[-1].bids), books[-1].bids[0]) == (bids, (Decimal("91000.1"), Decimal("3.1"))), name
            assert (found.summary.unhandled, found.summary.proofs["holes"]) == ({}, 0), name
