"""Deribit: the outputs of its frames, what becomes of them on the tape, its names and its requests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from crosstape_connector.errors import FRAME_ERRORS, UnknownSymbol
from crosstape_connector.venues.deribit import VENUE, rest, stream
from crosstape_connector.venues.messages import (
    Ack,
    BookSnapshot,
    BookUpdate,
    Heartbeat,
    LastTrade,
    Odd,
    OddRow,
    Output,
    Rejected,
    Reply,
    Unreadable,
    unread,
)
from crosstape_connector.venues.spec import Request, Verdict
from crosstape_schemas import Candle, Funding, Instrument, Liquidation, OpenInterest, Quote, Side, Ticker, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of
from tests.connector.venues.test_contract import feeds

FRAMES: Final = frames_of("deribit")
NAME: Final = "BTC-USDC-PERP"
D: Final = Decimal


def parse(*made: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7, 8, 9 …"""
    parser = stream.Parser(symbols_of("deribit"))
    return [output for at, frame in enumerate(made, 7) for output in parser(frame, at)]


def kinds(found: list[Output]) -> list[str]:
    """The names of the outputs' classes."""
    return [type(one).__name__ for one in found]


def test_amounts_of_an_inverse_contract_are_dollars() -> None:
    """Those of a linear one are base units, whatever its contract size: 0.0001 here."""
    linear, inverse = parse(FRAMES["trades"])[0], parse(FRAMES["trade_inverse"])[0]
    assert isinstance(linear, Trade)
    assert isinstance(inverse, Trade)
    assert (linear.size, inverse.size) == (D("0.0015"), D("0.01"))
    (bid,) = parse(FRAMES["book_inverse"])
    assert isinstance(bid, BookSnapshot)
    assert bid.bids == [(D("91000.0"), D(1))]
    interest = [one for name in ("ticker", "ticker_inverse") for one in parse(FRAMES[name]) if isinstance(one, OpenInterest)]
    assert [(one.size, one.value) for one in interest] == [(D("459.3409"), None), (None, D("1132329370.0"))]


def test_a_trade_of_no_book_counts_by_its_number_only() -> None:
    """A block trade, the leg of a combination: no gap, and no trade on the tape."""
    tape = feeds(VENUE)
    events: list[Any] = []
    for output in parse(*(FRAMES[name] for name in ("trades", "trade_liquidated_taker", "trade_liquidated_maker"))):
        events += tape.apply(output)
    events = []
    for output in parse(*(FRAMES[name] for name in ("trade_liquidated_both", "trade_block", "trade_combo_leg"))):
        events += tape.apply(output)
    last = (
        FRAMES["trade_combo_leg"]
        .replace(b"4000007", b"4000008")
        .replace(b'"combo_id":"BTC_USDC-FS-25DEC26_PERP","combo_trade_id":"43"', b'"x":1')
    )
    for output in parse(last):
        events += tape.apply(output)

    assert [event.trade_id for event in events if isinstance(event, Trade)] == ["4000005", "4000008"]
    assert "Gap" not in kinds(events)
    assert kinds(parse(FRAMES["trade_block"])) == ["LastTrade", "Odd"]
    assert isinstance(parse(FRAMES["trade_combo_leg"])[0], LastTrade)


def test_trades_of_no_book_are_missing_from_past_ones() -> None:
    """Their numbers never become trades."""
    body = answers_of("deribit")["trades"].replace(b'"trade_seq":4000001', b'"block_trade_id":"7","trade_seq":4000001')
    found = rest.parse_trades(body, symbols_of("deribit")["BTC_USDC-PERPETUAL"], 7)

    assert ([one.trade_id for one in found.trades], found.left_out) == (["4000002"], 0)


def test_a_liquidation_is_the_side_of_the_forced_order() -> None:
    """The taker's, the maker's, who is on the other side, or both."""
    found = [
        [one.taker for one in parse(FRAMES[f"trade_liquidated_{whose}"]) if isinstance(one, Liquidation)]
        for whose in ("taker", "maker", "both")
    ]

    assert found == [[Side.SELL], [Side.BUY], [Side.SELL, Side.BUY]]


def test_a_trade_that_cannot_be_read_leaves_the_others() -> None:
    """Its number is missing, which shows."""
    for old, new in (
        (b'"price":91000.1', b'"price":"x"'),
        (b'"direction":"sell"', b'"direction":"?"'),
        (b'"amount":0.0015', b'"amount":0'),
    ):
        found = parse(FRAMES["trades"].replace(old, new))
        assert [one.trade_id for one in found if isinstance(one, Trade)] == ["4000002"]
        assert [one.kind for one in found if isinstance(one, Odd)] == ["row"]


def test_trades_of_a_kind_are_used_beside_those_of_futures_that_nobody_asked_for() -> None:
    """A channel may have the trades of all futures, as recordings have it."""
    frame = FRAMES["trades"].replace(b"trades.BTC_USDC-PERPETUAL.100ms", b"trades.future.any.100ms")
    for count in (1, 2):
        frame = frame.replace(b'"instrument_name":"BTC_USDC-PERPETUAL"', b'"instrument_name":"DOGE_USDC-PERPETUAL"', 1)
        if count == 1:
            assert [one.trade_id for one in parse(frame) if isinstance(one, Trade)] == ["4000002"]
        else:
            with pytest.raises(UnknownSymbol):
                parse(frame)


def test_frames_may_be_written_with_spaces() -> None:
    """A recorder may have written them again."""
    for name in ("quote", "trades", "book", "ticker", "candle_1"):
        assert parse(msgspec.json.format(FRAMES[name], indent=2)) == parse(FRAMES[name])


def test_a_side_of_zero_is_empty() -> None:
    """Or null."""
    for data in (FRAMES["quote_one_side"], FRAMES["quote_one_side"].replace(b"0.0,", b"null,")):
        (quote,) = parse(data)
        assert isinstance(quote, Quote)
        assert (quote.bid_price, quote.ask_price, quote.ask_size) == (D("91000.1"), None, None)
    assert Unreadable("quote", NAME, 7) in parse(FRAMES["quote"].replace(b"91000.2", b"-1"))


def test_a_change_that_does_not_follow_breaks_the_book() -> None:
    """`change_id` jumps: each names the one before. Those of before a snapshot are left out."""
    (change,) = parse(FRAMES["book_change"])
    assert isinstance(change, BookUpdate)
    assert [stream.follows(change, number) for number in (193809616666, 193809616667, 193809644396)] == [
        Verdict.APPLY, Verdict.BREAK, Verdict.SKIP,
    ]  # fmt: skip


def test_a_book_without_a_number_before_it_begins() -> None:
    """Of before 2019-09 frames have no type; a change may begin an empty book; a snapshot may name a number."""
    assert kinds(parse(FRAMES["book_of_2019"], FRAMES["book_change_of_2019"], FRAMES["book_from_nothing"])) == [
        "BookSnapshot", "BookUpdate", "BookSnapshot",
    ]  # fmt: skip
    assert kinds(parse(FRAMES["book_inverse"])) == ["BookSnapshot"]
    (update,) = parse(FRAMES["book_change"].replace(b',"prev_change_id":193809616666', b""))
    assert isinstance(update, BookUpdate)
    assert stream.follows(update, 193809616666) is Verdict.BREAK


def test_books_of_some_levels_are_not_mixed_with_changes() -> None:
    """They have no chain. The form that came first counts."""
    few = FRAMES["book_of_ten_levels"].replace(b"ETH_USDC", b"BTC_USDC")

    assert kinds(parse(FRAMES["book"], few, FRAMES["book_change"])) == ["BookSnapshot", "BookUpdate"]
    assert kinds(parse(few, FRAMES["book"], few)) == ["BookSnapshot", "BookSnapshot"]


def test_a_book_of_some_levels_may_be_empty() -> None:
    """Without rows it looks like one of all levels: its channel says which it is."""
    few = FRAMES["book_of_ten_levels"]
    made = msgspec.json.decode(few)
    made["params"]["data"] |= {"bids": [], "asks": []}
    empty = msgspec.json.encode(made)

    assert kinds(parse(empty, few)) == ["BookSnapshot", "BookSnapshot"]
    _, emptied = parse(few, empty)
    assert isinstance(emptied, BookSnapshot)
    assert (emptied.bids, emptied.asks, emptied.limit) == ([], [], 10)


def test_a_book_that_cannot_be_read_is_a_break() -> None:
    """A price below zero, a text, a row of another form; one of some levels, too."""
    few = FRAMES["book_of_ten_levels"]
    price = str(msgspec.json.decode(few)["params"]["data"]["bids"][0][0]).encode()
    for new in (b"-1", b'"x"', b"null"):
        assert unread("ETH-USDC-PERP", 7) in parse(few.replace(price, new))
    for old, new in ((b"91000.4,", b"-1,"), (b"91000.4,", b'"1_0",'), (b'["new",91000.4,1.0]', b'["new",91000.4]')):
        assert unread(NAME, 7) in parse(FRAMES["book_change"].replace(old, new))


def test_figures_of_an_expired_contract() -> None:
    """Nothing was traded, and a price is a text: a dated contract has no funding."""
    found = parse(FRAMES["ticker_expired"])

    assert kinds(found) == ["Ticker", "Mark", "OpenInterest"]
    assert isinstance(found[0], Ticker)
    assert found[0].last is None
    lost = parse(FRAMES["ticker"].replace(b'"mark_price":91000.9', b'"mark_price":"NaN"'))
    assert {one.kind for one in lost if isinstance(one, Unreadable)} == {"ticker", "mark", "funding", "open_interest"}


def test_funding_has_no_next_time() -> None:
    """It is paid all the time. `perpetual` has more digits."""
    rates = [one for name in ("ticker", "perpetual") for one in parse(FRAMES[name]) if isinstance(one, Funding)]

    assert [(one.rate, one.interval_s, one.next_ts) for one in rates] == [
        (D("0.0001423"), 28_800, None), (D("0.0001423032929843748"), 28_800, None),
    ]  # fmt: skip


def test_a_candle_of_another_resolution_is_nothing() -> None:
    """Its days begin at 08:00."""
    (candle,) = parse(FRAMES["candle_1"], FRAMES["candle_day"])
    assert isinstance(candle, Candle)
    assert (candle.timeframe, candle.volume, candle.quote_volume) == ("1m", D("5.82441"), D("530021.64"))
    body = answers_of("deribit")["candles"].replace(b'"cost":[529620.6,', b'"cost":[')
    with pytest.raises(FRAME_ERRORS, match="lengths"):
        rest.parse_candles(body, symbols_of("deribit")["BTC_USDC-PERPETUAL"], "1m", 7)


def test_what_is_missing_from_an_acknowledgement_is_refused() -> None:
    """The id of the request says how many names it had; names may come in another order."""
    asked = msgspec.json.decode(stream.request("subscribe", Request("book.100ms", ("BTC-PERPETUAL", "BTC-25DEC26"), 3, 10)))
    assert (asked["id"], asked["params"]["channels"]) == (3_002, ["book.BTC-PERPETUAL.100ms", "book.BTC-25DEC26.100ms"])

    assert parse(FRAMES["ack"]) == [Ack(3, "book.100ms", ("BTC_USDC-PERPETUAL", "ETH_USDC-PERPETUAL"))]
    assert [type(one) for one in parse(FRAMES["ack_of_less"])] == [Ack, Rejected]
    assert kinds(parse(FRAMES["ack_of_none"])) == ["Rejected"]


def test_a_sign_of_life_that_is_asked_for_is_given_at_once() -> None:
    """An answer to it is one, too."""
    assert parse(FRAMES["test_request"]) == [Heartbeat(), Reply(stream.ALIVE)]
    assert parse(FRAMES["heartbeat"], FRAMES["tested"]) == [Heartbeat(), Heartbeat()]


def test_options_combinations_and_spot_are_nothing_without_a_word() -> None:
    """A future that nobody asked for is an unknown symbol."""
    assert parse(*(FRAMES[name] for name in ("option", "option_trade", "spot", "index", "platform", "state"))) == []
    for name in ("quote", "trades"):
        with pytest.raises(UnknownSymbol):
            parse(FRAMES[name].replace(b"BTC_USDC-PERPETUAL", b"DOGE_USDC-3JUN26"))
    found = VENUE.instruments.parse(answers_of("deribit")["instruments"])
    assert [one.name for one in found if isinstance(one, Instrument)] == [
        "BTC-USDC-PERP", "ETH-USDC-PERP", "BTC-USD-PERP", "BTC-USD-20261225", "1000PEPE-USDC-PERP",
    ]  # fmt: skip
    assert not [one for one in found if isinstance(one, OddRow)]


def test_an_error_by_rest_says_its_code() -> None:
    """It comes with HTTP 400."""
    assert VENUE.rest_error is not None
    body = b'{"jsonrpc":"2.0","error":{"code":-32602,"data":{"reason":"instrument not found"},"message":"Invalid params"}}'
    assert VENUE.rest_error(body) == "-32602 Invalid params"
    assert VENUE.rest_error(answers_of("deribit")["trades"]) is None
