"""BingX perpetuals: the outputs of their frames, and what becomes of them on the tape."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.bingx import SWAP, frames, swap, swap_rest
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, Odd, Output, Unreadable, unread
from crosstape_connector.venues.spec import Request, subscribed_depth
from crosstape_schemas import Book, Candle, Delta, FeedState, Funding, Gap, GapCause, Instrument, Quote, Side, Status, Ticker, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of
from tests.connector.venues.test_contract import feeds

FRAMES: Final = frames_of("bingx_swap")
NAME: Final = "BTC-USDT-PERP"
T: Final = 1_767_225_600_223
MS: Final = 1_000_000
D: Final = Decimal


def parse(*made: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7, 8, 9 …"""
    parser = swap.Parser(symbols_of("bingx_swap"))
    return [output for at, frame in enumerate(made, 7) for output in parser(frame, at)]


def apply(found: FeedHandler, *made: bytes) -> list[Any]:
    """The events of one connection's frames."""
    return [event for output in parse(*made) for event in found.apply(output)]


def batch(*rows: tuple[int, str]) -> bytes:
    """A list of trades, oldest first here and newest first on the wire: (time, size)."""
    made = [{"q": size, "p": "91000.1", "T": made_ms, "m": True, "s": "BTC-USDT"} for made_ms, size in reversed(rows)]
    return msgspec.json.encode({"code": 0, "dataType": "BTC-USDT@trade", "data": made})


def changes(number: int, bids: list[list[str]], asks: list[list[str]], action: str = "update") -> bytes:
    """A frame of `incrDepth`."""
    data = {"action": action, "lastUpdateId": number, "time": T + number, "bids": bids, "asks": asks}
    return msgspec.json.encode({"code": 0, "dataType": "BTC-USDT@incrDepth", "data": data})


def ack(channel: str, depth: int = 10) -> bytes:
    """The venue's answer to a request of ours for this topic."""
    sent = msgspec.json.decode(frames.request("subscribe", Request(channel, ("BTC-USDT",), 9, depth)))
    return msgspec.json.encode({"id": sent["id"], "code": 0, "msg": "", "dataType": "", "data": None})


def trades(events: list[Any]) -> list[tuple[str, str]]:
    """Id and size of the trades among these."""
    return [(event.trade_id, str(event.size)) for event in events if isinstance(event, Trade)]


def lose(found: FeedHandler) -> None:
    """Lose the connection, and have another one."""
    topic = Topic("swap", "trade", "BTC-USDT")
    found.open_topics([topic], 10)
    found.close_topics([topic], 20, "lost")
    found.open_topics([topic], 30)


def test_trades_have_ids_of_their_times_and_equal_rows_are_two_trades() -> None:
    """A list comes newest first. The next list goes on with the same millisecond."""
    made = trades(parse(FRAMES["trades"], FRAMES["trades_later"]))

    assert made == [(f"{T}000", "0.0015"), (f"{T}001", "0.0015"), (f"{T + 1}000", "0.0003"), (f"{T + 1}001", "0.0001")]
    first = parse(FRAMES["trades"])[0]
    assert isinstance(first, Trade)
    assert (first.taker, first.venue_ts, first.backfilled) == (Side.SELL, T * MS, False)


def test_a_trade_that_comes_late_gets_the_next_id() -> None:
    """It has its own time, and is not lost. More than 1,000 in a millisecond go on as well."""
    made = trades(parse(batch((T - 5, "9"), (T, "1")), batch((T - 1, "2"))))
    assert made == [(f"{T - 5}000", "9"), (f"{T}000", "1"), (f"{T}001", "2")]
    found = trades(apply(feeds(SWAP), batch((T, "1")), batch(*[(T, "2")] * 1_005), batch((T + 1, "3"))))
    assert len(found) == len({number for number, _ in found}) == 1_007


def test_past_trades_after_a_reconnect_are_not_published_twice() -> None:
    """Whether the list begins before or after what is known; those that were missed are published, and nothing is missing then."""
    found = feeds(SWAP)
    apply(found, batch((T, "1"), (T, "2")), batch((T, "3"), (T + 5, "4")))
    lose(found)

    events = apply(found, batch((T - 9, "9"), (T, "1"), (T, "2"), (T, "3"), (T + 5, "4"), (T + 5, "5"), (T + 7, "6")), batch((T + 8, "7")))

    assert [size for _, size in trades(events)] == ["5", "6", "7"]
    assert not [event for event in events if isinstance(event, Gap)]


def test_new_trades_after_a_reconnect_are_not_lost() -> None:
    """If the first list has new ones only, nothing says what was missed."""
    found = feeds(SWAP)
    apply(found, batch((T, "1"), (T, "2")))
    lose(found)

    events = apply(found, batch((T + 5, "3"), (T + 5, "3")), batch((T + 5, "4")))

    assert [size for _, size in trades(events)] == ["3", "3", "4"]
    assert [(gap.cause, gap.missed) for gap in events if isinstance(gap, Gap)] == [(GapCause.DISCONNECT, None)]


def test_past_trades_after_subscribing_again_are_not_published_twice() -> None:
    """On the same connection: the answer's id shows which list is the first. A trade that is long over was not received live."""
    found = feeds(SWAP)
    parser = swap.Parser(symbols_of("bingx_swap"))
    events: list[Any] = []
    made = (batch((T, "1")), batch((T + 1, "2")), ack("trade"), batch((T, "1"), (T + 1, "2"), (T + 2, "3")), batch((T + 2, "4")))
    for frame in made:
        for output in parser(frame, (T + 60_000) * MS):
            events += found.apply(output)

    assert [size for _, size in trades(events)] == ["1", "2", "3", "4"]
    assert [event.backfilled for event in events if isinstance(event, Trade)] == [True, False, True, False]


def test_past_trades_may_come_after_new_ones() -> None:
    """What the connection had is known by its content, how often it came, too; what is older by its id."""
    found = feeds(SWAP)
    apply(found, batch((T, "1"), (T, "1"), (T + 1, "2")))
    lose(found)

    events = apply(
        found, batch((T + 9, "8"), (T + 9, "8")), batch((T, "1"), (T, "1"), (T + 1, "2"), (T + 9, "8"), (T + 9, "8")), batch((T + 9, "8"))
    )

    assert [size for _, size in trades(events)] == ["8", "8", "8"]


def test_a_connection_remembers_so_many_trades() -> None:
    """A list that goes back further is of no known trades."""
    parser = swap.Parser(symbols_of("bingx_swap"))
    for at in range(0, swap.KEPT + 100, 50):
        parser(batch(*((T + at + more, "1") for more in range(50))), 7)
    newest = T + swap.KEPT + 99

    assert not parser(batch((newest - 3, "1"), (newest, "1")), 7)
    assert len(parser(batch((T + 200, "1"), (T + 10, "1")), 7)) == 1


def test_a_trade_that_cannot_be_read_leaves_its_neighbours() -> None:
    """In the same list."""
    frame = batch((T, "1"), (T, "2"), (T, "3")).replace(b'"q":"2"', b'"q":"x"')
    odd, lost, *made = parse(frame)

    assert isinstance(odd, Odd)
    assert lost == Unreadable("trade", NAME, 7)
    assert [size for _, size in trades(made)] == ["1", "3"]
    assert [type(output) for output in parse(batch((T, "x")))] == [Odd, Unreadable]


def test_a_trade_that_cannot_be_read_is_a_gap() -> None:
    """No id shows that it is missing. Before the first trade nothing is."""
    found = feeds(SWAP)
    events = apply(found, batch((T, "x")), batch((T, "1")), batch((T + 1, "x"), (T + 1, "2")), batch((T + 2, "3"))[:-9])

    assert [size for _, size in trades(events)] == ["1", "2"]
    gaps = [event for event in events if isinstance(event, Gap)]
    assert [(gap.kind, gap.from_ts, gap.to_ts, gap.missed, gap.cause) for gap in gaps] == [
        ("trade", 8, 9, None, GapCause.UNKNOWN),
        ("trade", 9, 10, None, GapCause.UNKNOWN),
    ]


def test_a_quote_is_the_best_of_levels_in_any_order() -> None:
    """An empty side is null; a level without a size is none."""
    quote, one_sided = parse(FRAMES["quote"], FRAMES["quote_one_side"])
    assert isinstance(quote, Quote)
    assert isinstance(one_sided, Quote)

    assert (quote.bid_price, quote.ask_price, quote.ask_size) == (D("91000.1"), D("91000.2"), D("0.5000"))
    assert (one_sided.bid_price, one_sided.ask_price) == (D("91000.1"), None)
    (again,) = parse(FRAMES["quote"].replace(b'"0.5000"', b'"0"'))
    assert isinstance(again, Quote)
    assert again.ask_price == D("91000.4")


def test_best_prices_of_long_ago_are_refused() -> None:
    """Though the frame is new."""
    assert isinstance(parse(FRAMES["book_ticker"])[0], Quote)
    assert [type(output) for output in parse(FRAMES["book_ticker_stale"])] == [Odd, Unreadable]


def test_a_ticker_has_no_turnover_and_no_open_of_minutes() -> None:
    """The unit of `q` is not known; `o` spans what `O` and `C` say."""
    day, minutes = parse(FRAMES["ticker"], FRAMES["ticker_of_minutes"])
    assert isinstance(day, Ticker)
    assert isinstance(minutes, Ticker)

    assert (day.open, day.change, day.quote_volume) == (D("91262.2"), D("-262.0"), None)
    assert (minutes.open, minutes.change, minutes.high) == (None, None, D("92152.9"))


def test_a_candle_begins_at_its_time() -> None:
    """`T` is the beginning here. Several in one frame are sorted."""
    first, second = parse(FRAMES["candle_1m"])
    assert isinstance(first, Candle)
    assert isinstance(second, Candle)

    assert (first.open_ts, first.close_ts, second.open_ts) == (1_767_225_600 * 10**9, 1_767_225_660 * 10**9, 1_767_225_660 * 10**9)
    odd_row = FRAMES["candle_1m"].replace(b'"91010.0"', b'"1"')
    assert [type(output) for output in parse(odd_row)] == [Candle, Odd, Unreadable]


def test_books_are_complete_up_to_100_levels_and_sent_by_changes_beyond() -> None:
    """The depth that is subscribed decides on the topic."""
    topics = {
        levels: msgspec.json.decode(frames.request("subscribe", Request(frames.BY_DEPTH, ("BTC-USDT",), 1, subscribed_depth(SWAP, levels))))
        for levels in (1, 10, 11, 100, 101, 5_000)
    }

    assert {levels: made["dataType"].partition("@")[2] for levels, made in topics.items()} == {
        1: "depth10", 10: "depth10", 11: "depth20", 100: "depth100", 101: "incrDepth", 5_000: "incrDepth",
    }  # fmt: skip


def test_numbers_that_jump_are_no_gap_and_are_counted() -> None:
    """They do so while nothing is missing."""
    found = feeds(SWAP)
    events = apply(found, FRAMES["all"], FRAMES["update"], FRAMES["update_after_a_jump"])

    (book,) = [event for event in events if isinstance(event, Book)][-1:]
    assert book.asks == ((D("91000.4"), D(1)), (D("91000.5"), D("0.1250")))
    assert (book.sequence, book.state) == (857_550_015, FeedState.LIVE)
    checks = found.book_checks()[NAME]
    assert (checks.jumps, checks.holes) == (1, 0)


@pytest.mark.parametrize("number", [10, 9])
def test_a_number_that_does_not_grow_breaks_the_book(number: int) -> None:
    """It is subscribed again; `all` begins it, whatever its number."""
    found = feeds(SWAP)
    sides = [["91000.1", "1"]], [["91000.2", "1"]]
    events = apply(found, changes(8, *sides, "all"), changes(10, [], []), changes(number, [["91000.0", "1"]], []), ack("depth", 1_024),
                   changes(5, *sides, "all"), changes(6, [["91000.0", "2"]], []))  # fmt: skip

    states = [event.state for event in events if isinstance(event, Status) and event.kind == "book"]
    assert states == [FeedState.LIVE, FeedState.RECOVERING, FeedState.LIVE]
    assert [event.bids for event in events if isinstance(event, Book)][-1] == ((D("91000.1"), D(1)), (D(91000), D(2)))


def test_a_first_book_with_prices_that_cannot_be_ordered_is_odd() -> None:
    """`NaN` is no price; the book is subscribed again."""
    odd, suspect = parse(changes(8, [["91000.1", "1"]], [["NaN", "1"], ["91000.2", "1"]], "all"))

    assert isinstance(odd, Odd)
    assert odd.kind == "book"
    assert suspect == unread(NAME, 7)


def test_a_book_may_be_crossed_for_one_frame_and_is_not_published_so() -> None:
    """The next frame is published with the changes of both; a second one that is crossed breaks the book."""
    start = changes(1, [["100", "1"]], [["101", "1"]], "all")
    crossing, solving, still = changes(2, [["102", "5"]], []), changes(3, [], [["101", "0"], ["103", "2"]]), changes(3, [["99", "1"]], [])
    found = feeds(SWAP)
    events = apply(found, start, crossing, solving)

    assert [(event.bids[0][0], event.asks[0][0]) for event in events if isinstance(event, Book)] == [(D(100), D(101)), (D(102), D(103))]
    (_, delta) = [event for event in events if isinstance(event, Delta)]
    assert (delta.bids, delta.asks) == (((D(102), D(5)),), ((D(101), D(0)), (D(103), D(2))))
    assert [event.state for event in apply(feeds(SWAP), start, crossing, still) if isinstance(event, Status) and event.kind == "book"] == [
        FeedState.LIVE,
        FeedState.RECOVERING,
    ]


def test_a_crossed_book_is_not_published_when_it_is_due() -> None:
    """At the pace of the settings."""
    names = {one.name: one for one in symbols_of("bingx_swap").values()}
    found = FeedHandler(SWAP, names, ("book",), book_depth=10, book_interval_ns=10**9)
    apply(found, changes(1, [["100", "1"]], [["101", "1"]], "all"), changes(2, [["100", "2"]], []), changes(3, [["102", "5"]], []))

    assert not found.due_books(10**18)
    for output in parse(changes(3, [["102", "5"]], [["101", "1"]], "all"), changes(4, [["102", "0"]], []))[1:]:
        found.apply(output)
    (book,) = [event for event in found.due_books(10**18) if isinstance(event, Book)]
    assert book.bids == ((D(100), D(2)),)


def test_a_book_has_at_most_1024_levels_a_side() -> None:
    """What falls out is not deleted by the venue: it is cut. Levels beyond a full snapshot are not known."""
    bids = [[str(10_000 - at), "1"] for at in range(1_024)]
    (snapshot,) = parse(changes(1, bids, [["20000", "1"]], "all"))
    assert isinstance(snapshot, BookSnapshot)
    found = feeds(SWAP)
    (*_, delta) = [
        event
        for event in apply(found, changes(1, bids, [["20000", "1"]], "all"), changes(2, [["10001", "1"]], []))
        if isinstance(event, Delta)
    ]

    assert (snapshot.depth, snapshot.limit) == (1_024, 1_024)
    assert delta.bids == ((D(10_001), D(1)), (D(8_977), D(0)))


def test_a_change_that_cannot_be_read_breaks_the_book() -> None:
    """The book lacks it; so does one with an action that is not known."""
    for bad in (FRAMES["update"].replace(b'"3.0000"', b'"x"'), FRAMES["update"].replace(b'"update"', b'"upsert"')):
        events = apply(feeds(SWAP), FRAMES["all"], bad)
        assert [event.state for event in events if isinstance(event, Status) and event.kind == "book"] == [
            FeedState.LIVE,
            FeedState.RECOVERING,
        ]


def test_a_frame_that_cannot_be_read_at_all_breaks_the_books_that_it_may_be_of() -> None:
    """No later number shows that a change is missing. A frame of another topic, and complete books, are not concerned."""
    for bad in (FRAMES["update"][:-40], FRAMES["update"].replace(b'"90999.9"', b'"\xff"'), b"\xff\xfe"):
        events = apply(feeds(SWAP), FRAMES["all"], bad)
        states = [event.state for event in events if isinstance(event, Status) and event.kind == "book"]
        assert states == [FeedState.LIVE, FeedState.RECOVERING]
    for fine in ((FRAMES["all"], FRAMES["quote"][:-9]), (FRAMES["book"], FRAMES["book_later"][:-9])):
        with pytest.raises(msgspec.DecodeError):
            parse(*fine)


def test_a_new_subscription_of_a_complete_book_begins_with_a_snapshot() -> None:
    """The topic is that of the depth."""
    frame = FRAMES["book"].replace(b"ETH-USDT@depth20@500ms", b"BTC-USDT@depth20")

    assert [type(output).__name__ for output in parse(frame, frame, ack("depth", 20), frame)] == [
        "BookSnapshot", "BookUpdate", "Ack", "BookSnapshot",
    ]  # fmt: skip
    assert isinstance(parse(frame, frame)[1], BookUpdate)


def test_instruments_are_coins_with_ticks_of_their_digits() -> None:
    """Tokenised shares are left out, a coin whose name begins alike is not. A contract that is closed to the API does not trade."""
    found = [one for one in swap_rest.parse_instruments(answers_of("bingx_swap")["instruments"]) if isinstance(one, Instrument)]
    body = answers_of("bingx_swap")["instruments"].replace(b"NCSKTSLA2USD", b"NCT")

    assert [(one.name, one.price_tick, one.size_step, one.active) for one in found] == [
        (NAME, D("0.1"), D("0.0001"), True),
        ("ETH-USDT-PERP", D("0.01"), D("0.01"), False),
        ("BTC-USDC-PERP", D("0.1"), D("0.0001"), True),
        ("1000PEPE-USDT-PERP", D("1E-7"), D(1), False),
    ]
    assert "NCT-USDT-PERP" in [one.name for one in swap_rest.parse_instruments(body) if isinstance(one, Instrument)]


def test_funding_of_all_symbols_is_in_one_answer() -> None:
    """Or that of one symbol; rows of others are left out, and an odd one takes no other with it."""
    symbols = symbols_of("bingx_swap")
    body = answers_of("bingx_swap")["funding"]
    first, second = swap_rest.parse_funding(body, symbols, 7)
    assert isinstance(first, Funding)

    assert (first.rate, first.interval_s, first.next_ts) == (D("0.00025100"), 28_800, 1_767_254_400_000 * MS)
    assert swap_rest.parse_funding(body, {"BTC-USDT": symbols["BTC-USDT"]}, 7) == [first]
    alone = msgspec.json.encode({"code": 0, "data": msgspec.json.decode(body)["data"][0]})
    assert swap_rest.parse_funding(alone, symbols, 7) == [first]
    assert swap_rest.funding_path(["BTC-USDT"]).endswith("premiumIndex?symbol=BTC-USDT")
    assert swap_rest.funding_path(["BTC-USDT", "ETH-USDT"]).endswith("premiumIndex")
    good, odd = swap_rest.parse_funding(body.replace(b'"0.00025100"', b'"x"'), symbols, 7)
    assert good == second
    assert isinstance(odd, Odd)


def test_open_interest_is_in_quote_units() -> None:
    """The documents' example is no number of bitcoins."""
    (found,) = swap_rest.parse_interest(answers_of("bingx_swap")["open_interest"], symbols_of("bingx_swap"), 7)

    assert not isinstance(found, Odd)
    assert (found.size, found.value) == (None, D("3289641547.10"))
