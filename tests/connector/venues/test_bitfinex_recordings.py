"""A real recording of Bitfinex: what is published, compared with an independent reading of the same frames.

It was made in 2021 by a client that asked for numbers, and neither for times nor for checksums. Half a minute of seven quiet pairs: none of
them traded, so that its only trades are those that answer the subscriptions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import pytest

from crosstape_connector.venues.bitfinex import stream
from crosstape_connector.venues.bitfinex.assets import ours, split
from crosstape_connector.venues.messages import ConnectionBreak, TradeSnapshot
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import Gap, Instrument, Quote, Ticker, Trade, perpetual, spot
from tests.connector.venues.test_recordings import CORPUS, normalized, raw, replayed

pytestmark = [
    pytest.mark.skipif(not CORPUS, reason="CROSSTAPE_CORPUS is not set: the recordings are not part of this project"),
    pytest.mark.slow,
    pytest.mark.xdist_group("cryptofeed_bitfinex"),  # they look at one recording
]
NAME: Final = "cryptofeed_bitfinex"


def texts() -> Iterator[tuple[int, str]]:
    """Receive time and text of what came in."""
    for line in raw(NAME):
        if line.get("d") == "in":
            yield line["t"], line["f"]


def arrays() -> Iterator[tuple[str, str, int, list[Any]]]:
    """(channel, pair, receive time, array) of each array after its acknowledgement, its numbers exact."""
    channels: dict[int, tuple[str, str]] = {}
    for at, text in texts():
        frame = json.loads(text, parse_float=Decimal)
        if isinstance(frame, dict):
            if frame["event"] == "subscribed":
                channels[frame["chanId"]] = frame["channel"], frame["pair"]
        else:
            yield *channels.get(frame[0], ("", "")), at, frame


def name(pair: str) -> str:
    """Our name of a pair."""
    return spot(*_assets(pair))


def listed() -> dict[str, Instrument]:
    """The symbols of the recording."""
    pairs = {pair for _, pair, _, _ in arrays() if pair}
    return {f"t{pair}": Instrument(name(pair), "bitfinex", f"t{pair}", *_assets(pair)) for pair in pairs}


def _assets(pair: str) -> tuple[str, str]:
    base, quote = split(pair)
    return ours(base), ours(quote)


def test_every_frame_is_used() -> None:
    """No frame is unknown or malformed, no book breaks."""
    events, summary = normalized(NAME)

    assert summary.frames == 1_693 == sum(1 for _ in texts())
    assert (summary.unhandled, summary.odd, summary.first_unhandled) == ({}, {}, [])
    assert summary.unwanted == summary.duplicates == 0
    for bad in ("checksums_bad", "crossed", "holes", "impossible", "unproven"):
        assert summary.proofs[bad] == 0
    assert not [event for event in events if isinstance(event, Gap)]


def test_bitfinex_numbers_every_frame_of_the_connection() -> None:
    """1 to the last, over all channels and heartbeats; a frame that is left out is found by the next one."""
    numbers = [frame[-1] for *_, frame in arrays()]
    assert numbers == list(range(1, 1_671))

    complete, torn = stream.Parser(listed()), stream.Parser(listed())
    found: list[list[ConnectionBreak]] = [[], []]
    for index, (at, text) in enumerate(texts()):
        for parser, into in ((complete, found[0]), (torn, found[1])):
            if parser is complete or index != 900:
                try:
                    into += [output for output in parser(text.encode(), at) if isinstance(output, ConnectionBreak)]
                except Exception as exc:
                    raise AssertionError(text) from exc

    assert found[0] == []
    assert [one.missed for one in found[1]] == [1]
    assert len(found[1][0].instruments) == 7


def test_bitfinex_books_are_those_of_a_plain_replay() -> None:
    """Seven pairs, 1,600 frames: all levels, and the best of each as published last. No book is crossed after any frame."""
    plain: dict[str, dict[str, dict[Decimal, Decimal]]] = {}
    changes = 0
    for channel, pair, _, frame in arrays():
        if channel != "book" or frame[1] == "hb":
            continue
        rows = frame[1] if isinstance(frame[1][0], list) else [frame[1]]
        book = plain.setdefault(name(pair), {"bids": {}, "asks": {}})
        for price, orders, amount in rows:
            side = book["bids" if amount > 0 else "asks"]
            if orders:
                side[Decimal(price)] = abs(Decimal(amount))
            else:
                side.pop(Decimal(price), None)
        assert max(book["bids"]) < min(book["asks"])
        changes += 1
    events, summary = normalized(NAME)

    assert changes == 1_600
    assert (summary.proofs["snapshots"], summary.proofs["updates"]) == (7, 1_593)
    assert replayed(events) == plain
    last = {event.instrument: event for event in events if isinstance(event, Quote)}
    assert {one: (quote.bid_price, quote.ask_price) for one, quote in last.items()} == {
        one: (max(book["bids"]), min(book["asks"])) for one, book in plain.items()
    }


def test_bitfinex_trades_are_all_there_to_the_digit() -> None:
    """Those that answer a subscription: the newest first on the wire, the oldest first here. They begin no tape."""
    expected = {
        name(pair): [
            (str(number), mts * 10**6, abs(Decimal(amount)), Decimal(price), amount > 0) for number, mts, amount, price in frame[1]
        ]
        for channel, pair, _, frame in arrays()
        if channel == "trades" and frame[1] != "hb"
    }
    parser = stream.Parser(listed())
    snapshots = {
        output.instrument: [
            (trade.trade_id, trade.venue_ts, trade.size, trade.price, trade.taker == "buy") for trade in reversed(output.trades)
        ]
        for at, text in texts()
        for output in parser(text.encode(), at)
        if isinstance(output, TradeSnapshot)
    }

    assert sum(map(len, expected.values())) == 210
    assert snapshots == expected
    assert not [event for event in normalized(NAME)[0] if isinstance(event, Trade)]


def test_bitfinex_tickers_are_those_of_the_venue() -> None:
    """Change, last price, volume, high and low of the day; one that repeats the one before is not published again."""
    expected: dict[str, list[tuple[Decimal, ...]]] = {}
    for channel, pair, _, frame in arrays():
        if channel == "ticker" and frame[1] != "hb":
            figures = tuple(Decimal(figure) for figure in (frame[1][4], *frame[1][6:10]))
            rows = expected.setdefault(name(pair), [])
            if not rows or rows[-1] != figures:
                rows.append(figures)
    found: dict[str, list[Any]] = {}
    for event in normalized(NAME)[0]:
        if isinstance(event, Ticker):
            found.setdefault(event.instrument, []).append((event.change, event.last, event.base_volume, event.high, event.low))

    assert len(expected) == 7
    assert found == expected


def test_the_pairs_of_the_recording_have_our_names() -> None:
    """Spot and perpetuals in lists of their own, each list an answer: none of their names is there twice."""
    pairs = [json.loads(line["f"]) for line in raw(NAME) if line.get("d") == "rest"]
    found = [VENUES["bitfinex"].instruments.parse(json.dumps(lists).encode()) for lists in (pairs[0], pairs[2])]
    spots, perpetuals = ([one.name for one in rows if isinstance(one, Instrument)] for rows in found)

    assert [len(rows) for rows in found] == [len(spots), len(perpetuals)] == [len(pairs[0][0]), len(pairs[2][0])]
    assert {spot("BTC", "USDT"), spot("IOTA", "ETH"), spot("MDOGE", "USD")} <= set(spots)
    assert {perpetual("BTC", "USDT"), perpetual("ALGO", "USDT"), perpetual("ETH", "BTC")} <= set(perpetuals)
