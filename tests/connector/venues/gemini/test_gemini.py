"""Gemini's WebSocket and REST: the outputs of frames and answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from crosstape_connector.errors import FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.gemini import VENUE, rest, stream
from crosstape_connector.venues.messages import Ack, BookSnapshot, BookUpdate, Heartbeat, Odd, Output, Rejected, Unreadable, unread
from crosstape_connector.venues.parsing.unreadable import feeds_of
from crosstape_connector.venues.spec import Request, Verdict
from crosstape_schemas import Book, Delta, FeedState, Gap, Instrument, Quote, Side, Status, Trade
from tests.connector.venues.golden import answers_of, as_read, frames_of, symbols_of
from tests.connector.venues.test_contract import feeds

FRAMES: Final = frames_of("gemini")
REST: Final = answers_of("gemini")
D: Final = Decimal


def parse(*frames: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7."""
    parser = stream.Parser(symbols_of("gemini"))
    return [output for frame in frames for output in parser(frame, 7)]


def tape(*frames: bytes) -> list[Any]:
    """The events of one connection's frames."""
    found = feeds(VENUE)
    return [event for output in parse(*frames) for event in found.apply(output)]


def test_a_buyer_who_is_the_maker_is_a_taker_who_sold() -> None:
    """`m` says who rested; times are ns, to the last digit; sizes may have more digits than the instrument's step."""
    sold, bought = map(as_read, parse(FRAMES["trade_sold"], FRAMES["trade_bought"]))

    assert sold == Trade(
        "gemini", "BTC-USD", 1_767_225_600_123_456_789, 7, D("91000.10000"), D("0.0015000000"), Side.SELL, "2840141014000001"
    )
    assert isinstance(bought, Trade)
    assert (bought.taker, str(bought.size)) == (Side.BUY, "1.22E-8")


def test_the_first_frame_of_a_book_is_complete_and_has_one_id() -> None:
    """Levels of size zero in it are none; both sides may be empty."""
    book, empty = parse(FRAMES["book"], FRAMES["book_empty"])

    assert book == BookSnapshot(
        "BTC-USD", 1_767_225_600_400_000_001, 7,
        [(D("91000.1"), D("3.1")), (D(91000), D(1))], [(D("91000.2"), D("0.5"))], 1_764_549_594_389_752,
    )  # fmt: skip
    assert isinstance(empty, BookSnapshot)
    assert (empty.bids, empty.asks) == ([], [])


def test_a_change_begins_with_the_last_id_of_the_one_before() -> None:
    """Prices are numbers, so that `91000.1` removes `91000.10000`."""
    events = tape(FRAMES["book"], FRAMES["book_change"], FRAMES["book_next"])

    last = [event for event in events if isinstance(event, Book)][-1]
    assert last.bids == ((D("91000.05"), D("0.00000001")), (D(91000), D(1)))
    assert last.asks == ((D("91000.15"), D("0.25")), (D("91000.2"), D("0.75")))
    assert last.sequence == 1_764_549_594_389_763
    assert not [event for event in events if isinstance(event, Gap)]


@pytest.mark.parametrize(
    ("first", "last", "verdict"),
    [
        (10, 12, Verdict.APPLY),
        (11, 12, Verdict.APPLY),
        (12, 14, Verdict.BREAK),
        (5, 12, Verdict.APPLY),
        (12, 13, Verdict.BREAK),
        (8, 10, Verdict.SKIP),
        (None, 12, Verdict.BREAK),
        (10, None, Verdict.BREAK),
    ],
)
def test_changes_follow_the_id_ten(first: int | None, last: int | None, verdict: Verdict) -> None:
    """Their first new id is eleven, or they reach back before it."""
    assert stream.follows(BookUpdate("X", None, 7, [], [], first, last), 10) is verdict


def test_a_lost_change_breaks_the_book_until_a_complete_one_comes() -> None:
    """It comes on the stream: the book is subscribed again. REST has no id to begin with."""
    later = FRAMES["book_next"].replace(b"389761", b"389764").replace(b"389763", b"389765")
    again = FRAMES["book"].replace(b"389752", b"389765")
    events = tape(FRAMES["book"], FRAMES["book_change"], later, again)

    states = [event.state for event in events if isinstance(event, Status) and event.kind == "book"]
    assert states == [FeedState.LIVE, FeedState.RECOVERING, FeedState.LIVE]
    assert VENUE.snapshots is None


def depth(first: int, last: int, size: str = "1") -> bytes:
    """A frame of a book whose ids end so, with one bid."""
    return (
        f'{{"e":"depthUpdate","E":1767225600400000001,"s":"btcusd","U":1764549594389{first:03},"u":1764549594389{last:03},'
        f'"b":[["91000","{size}"]],"a":[]}}'
    ).encode()


def test_a_complete_book_that_comes_again_replaces_the_one_before() -> None:
    """After a second subscription it may have the same id, or a later one; where changes overlap, it is never taken for a change."""
    again = FRAMES["book"].replace(b'["91000.10000","3.10000000"],', b"")
    for number in (b"389763", b"389764", b"389799"):
        events = tape(FRAMES["book"], FRAMES["book_change"], FRAMES["book_next"], again.replace(b"389752", number))
        assert [event for event in events if isinstance(event, Delta)][-1].bids[-1] == (D(91000), D(1))
        assert [event for event in events if isinstance(event, Book)][-1].bids == ((D(91000), D(1)),)


def test_a_change_that_begins_with_the_next_id_follows_where_changes_do_not_overlap() -> None:
    """The page on depth calls only a later one a gap: a venue that counts so must not break its books for ever."""
    events = tape(depth(100, 100), depth(101, 103, "2"), depth(104, 104, "3"), depth(105, 107, "4"))

    assert [event.bids for event in events if isinstance(event, Book | Delta)][-1] == ((D(91000), D(4)),)
    assert not [event for event in events if isinstance(event, Gap)]
    assert [event for event in tape(depth(100, 100), depth(101, 103), depth(105, 107)) if isinstance(event, Gap)]


def test_a_change_that_begins_with_the_next_id_is_a_gap_where_changes_overlap() -> None:
    """The frame with that id was lost."""
    before = depth(100, 100), depth(100, 103), depth(103, 104)

    assert not [event for event in tape(*before, depth(104, 107)) if isinstance(event, Gap)]
    assert [event for event in tape(*before, depth(105, 107)) if isinstance(event, Gap)]


def test_one_change_that_begins_with_the_next_id_is_not_how_a_venue_counts() -> None:
    """What most changes of a connection do decides, so that a lost frame does not make the next one pass."""
    lost = depth(100, 100), depth(100, 103), depth(103, 105), depth(106, 107), depth(107, 109)
    made = [one.first for one in parse(*lost, depth(110, 112)) if isinstance(one, BookUpdate)]

    assert [int(first or 0) % 1000 for first in made] == [100, 104, 107, 108, 111]


def test_a_change_of_one_id_is_no_complete_book() -> None:
    """Unless the symbol was subscribed again: then a reply came, and the frame does not go on from the one before."""
    first, change, lost = parse(depth(100, 100), depth(101, 101), depth(103, 103))
    assert [type(one) for one in (first, change, lost)] == [BookSnapshot, BookUpdate, BookUpdate]

    found = parse(depth(100, 100), FRAMES["ack"], depth(101, 101), depth(105, 105), depth(105, 105))
    assert [type(one) for one in found] == [BookSnapshot, Ack, BookUpdate, BookSnapshot, BookUpdate]


@pytest.mark.parametrize("bad", [b'"x"', b"null", b"5", b'"0.-1"', '"١"'.encode(), b'"\\u0661"'])
@pytest.mark.parametrize("value", [b'"91000.1"', b'"0.75000000"'])
def test_a_change_that_cannot_be_read_breaks_only_its_book(bad: bytes, value: bytes) -> None:
    """The book lacks it from then on."""
    found = parse(FRAMES["book_change"].replace(value, bad))

    assert [type(one) for one in found] == [Odd, type(unread("BTC-USD", 7))]
    assert found[1] == unread("BTC-USD", 7)


@pytest.mark.parametrize("change", [(b'"U":1764549594389752,', b""), (b'"u":1764549594389761', b'"u":"x"'), (b'"a":[', b'"no":[')])
def test_a_change_without_an_id_or_a_side_breaks_its_book(change: tuple[bytes, bytes]) -> None:
    """Nothing says where it belongs."""
    assert parse(FRAMES["book_change"].replace(*change))[1] == unread("BTC-USD", 7)


def test_a_side_that_is_not_there_is_null() -> None:
    """Or one whose price is zero; a frame without any price says nothing."""
    both, bid, ask = map(as_read, parse(FRAMES["quote"], FRAMES["quote_one_side"], FRAMES["quote_zero"]))

    assert both == Quote("gemini", "BTC-USD", 1_767_225_600_300_000_001, 7, D("91000.1"), D("3.1"), D("91000.2"), D("0.5"))
    assert isinstance(bid, Quote)
    assert isinstance(ask, Quote)
    assert (bid.bid_price, bid.bid_size, bid.ask_price, bid.ask_size) == (D("3000.10"), D("2.5"), None, None)
    assert (ask.bid_price, ask.bid_size, ask.ask_price, ask.ask_size) == (None, None, D("3000.20"), D(1))
    assert parse(FRAMES["quote_nothing"]) == []


@pytest.mark.parametrize("bad", [b'"x"', b"7", b"null", b'"-1"', b'["1","2"]', b'[["1","2"]]'])
@pytest.mark.parametrize("value", [b'"91000.10000"', b'"0.50000000"'])
def test_a_quote_that_cannot_be_read_makes_the_feed_old(bad: bytes, value: bytes) -> None:
    """Nothing else would show that it is missing."""
    found = parse(FRAMES["quote"].replace(value, bad, 1))

    assert [type(one) for one in found] == [Odd, Unreadable]
    assert found[1] == Unreadable("quote", "BTC-USD", 7)


def test_half_a_quote_is_known_by_its_beginning() -> None:
    """A frame does not name its stream. Half a trade or half a change of a book is nobody's quote."""
    endpoint, symbols = VENUE.endpoints[0], symbols_of("gemini")

    assert feeds_of(endpoint, symbols, FRAMES["quote"][:60], 7) == [Unreadable("quote", "BTC-USD", 7)]
    for name in ("trade_sold", "book", "book_change", "ack"):
        assert not feeds_of(endpoint, symbols, FRAMES[name][:60], 7)


def test_replies_name_their_request_as_a_number_or_a_text() -> None:
    """The answer to a ping looks like one: its id is above theirs. It shows that the connection lives, even if the venue knows no pings."""
    assert parse(FRAMES["ack"], FRAMES["ack_text"], FRAMES["ack_result"]) == [Ack(1), Ack(2), Ack(3)]
    assert parse(FRAMES["refused"]) == [Rejected("-1013 Invalid stream", 4)]
    assert parse(b'{"id":5,"status":403}', b'{"error":{"msg":"no"}}') == [Rejected("status 403", 5), Rejected("no")]
    assert parse(FRAMES["pong"], FRAMES["pong"].replace(b"200", b"400")) == [Heartbeat(), Heartbeat()]
    assert msgspec.json.decode(stream.ping(9)) == {"id": "1000000009", "method": "ping"}


def test_event_contracts_are_left_out() -> None:
    """Their states, and their data, which nobody has subscribed."""
    assert parse(FRAMES["event_contract"], FRAMES["levels"]) == []
    with pytest.raises(UnknownSymbol):
        parse(FRAMES["quote"].replace(b"btcusd", b"gemi-btc15m2601010000-hi100000"))


@pytest.mark.parametrize("frame", [b"{}", b'{"s":"btcusd"}', b'{"e":"somethingNew","s":"btcusd"}'])
def test_another_frame_is_unknown(frame: bytes) -> None:
    """A new kind of frame is counted, not guessed."""
    with pytest.raises(UnknownFrame):
        parse(frame)


def test_a_trade_without_a_side_is_refused() -> None:
    """A trade whose numbers are none, too."""
    with pytest.raises(UnknownFrame):
        parse(FRAMES["trade_sold"].replace(b',"m":true', b""))
    for value in (b'"91000.10000"', b'"0.0015000000"'):
        with pytest.raises(FrameError):
            parse(FRAMES["trade_sold"].replace(value, b'"0"'))


def test_requests_name_symbols_and_streams() -> None:
    """One message for all; the connection asks for complete books."""
    asked = msgspec.json.decode(stream.request("subscribe", Request("depth", ("btcusd", "ethusd"), 4, 10)))

    assert asked == {"id": "4", "method": "subscribe", "params": ["btcusd@depth", "ethusd@depth"]}
    urls = [VENUE.endpoints[0].url, *(one.ws_urls["stream"] for one in VENUE.environments.values())]
    assert all(url.endswith("?snapshot=-1") for url in urls)


def test_the_tick_size_of_a_symbol_is_the_step_of_its_sizes() -> None:
    """And `quote_increment` the tick of its prices; an exponent is a number like any other. Names have no separator."""
    found = {one.symbol: one for one in VENUE.instruments.parse(REST["instruments"]) if isinstance(one, Instrument)}

    assert {symbol: one.name for symbol, one in found.items()} == {"btcusd": "BTC-USD", "ethusd": "ETH-USD", "btcgusd": "BTC-GUSD"}
    assert (found["btcusd"].price_tick, found["btcusd"].size_step) == (D("0.01"), D("0.00000001"))
    assert [one.active for one in found.values()] == [True, False, True]


def test_a_recording_may_hold_symbols_one_by_one() -> None:
    """Each answer is a list of one."""
    body = b'{"symbol":"ZECLTC","base_currency":"ZEC","quote_currency":"LTC","tick_size":0.000001,"quote_increment":0.001,"status":"open"}'
    (found,) = VENUE.instruments.parse(body)

    assert isinstance(found, Instrument)
    assert (found.name, found.symbol) == ("ZEC-LTC", "zecltc")
    assert VENUE.instruments.match("https://api.gemini.com/v1/symbols/details/zecltc")
    assert not VENUE.instruments.match("https://api.gemini.com/v1/symbols")


def test_past_candles_come_newest_first_whatever_is_asked_for() -> None:
    """They are JSON numbers; one without trades is flat at the close before."""
    assert VENUE.past_candles is not None
    assert VENUE.past_candles.path("btcusd", "1h", 0, 10**18) == "/v2/candles/btcusd/1hr"
    found = rest.parse_candles(REST["candles"], symbols_of("gemini")["btcusd"], "1m", 7)

    assert [one.open_ts // 10**9 for one in found.candles] == [1_767_225_600, 1_767_225_660]
    assert (found.candles[0].high, found.candles[0].low, found.candles[0].volume) == (D("91000.2"), D(90999), D("1.5"))
    assert found.candles[1].volume == 0
    with pytest.raises(FrameError):
        rest.parse_candles(REST["candles"].replace(b"91000.1", b'"91_000.1"'), symbols_of("gemini")["btcusd"], "1m", 7)


def test_an_error_is_a_sentence() -> None:
    """And an answer is none."""
    assert rest.rest_error(b'{"result":"error","reason":"Bad Request","message":"no such symbol"}') == "Bad Request no such symbol"
    assert rest.rest_error(REST["quotes"]) is None
