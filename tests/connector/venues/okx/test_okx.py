"""OKX spot: what is particular of its frames, its books and its REST."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from crosstape_connector.errors import FRAME_ERRORS, UnknownFrame, UnknownSymbol
from crosstape_connector.feeds.books.checks import Outcome
from crosstape_connector.feeds.books.order_book import OrderBook
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, Heartbeat, LastTrade, Odd, OddRow, Output, Rejected, Unreadable
from crosstape_connector.venues.okx import SPOT, books, connection, parsers, rest
from crosstape_connector.venues.spec import Request, Verdict
from crosstape_schemas import Candle, FeedState, Instrument, Quote, Status, Ticker, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of

PUBLIC: Final = frames_of("okx", "public")
BUSINESS: Final = frames_of("okx", "business")
REST: Final = answers_of("okx")
D: Final = Decimal


def found(*frames: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7."""
    parser = parsers.SpotParser(symbols_of("okx"))
    return [output for frame in frames for output in parser(frame, 7)]


def test_the_answer_to_a_ping_is_no_json() -> None:
    """Both are text; any other text is a bad frame."""
    assert connection.ping(7) == b"ping"
    assert found(b"pong") == [Heartbeat()]
    with pytest.raises(FRAME_ERRORS):
        found(b"pang")


def test_a_row_of_several_fills_uses_up_their_ids() -> None:
    """`trades` names the last of them, so that the next id is not a gap; a number of fills that cannot be is an error."""
    first, second, trade = found(PUBLIC["trade_of_three_fills"])

    assert [first, second] == [LastTrade("BTC-USDT", 1_767_225_600_200_000_000, 7, number, True) for number in (4_000_008, 4_000_009)]
    assert isinstance(trade, Trade)
    assert (trade.trade_id, trade.size) == ("4000010", "0.02")
    for count in (b'"0"', b'"-1"', b'"100000"', b'"x"'):
        with pytest.raises(FRAME_ERRORS):
            found(PUBLIC["trade_of_three_fills"].replace(b'"count":"3"', b'"count":' + count))


def test_a_trade_that_cannot_be_read_harms_no_other_of_its_frame() -> None:
    """It is counted."""
    outputs = found(BUSINESS["trades_two"].replace(b'"1e-5"', b'"abc"'))

    assert [type(one) for one in outputs] == [Odd, Trade]
    assert [type(one) for one in found(BUSINESS["trades_two"].replace(b'"4000004"', b"null"))] == [Trade, Odd]


def test_a_frame_in_another_spelling_is_read_as_well() -> None:
    """Heads that were met are cut off as text: what looks alike must be the same JSON."""
    plain, spaced = BUSINESS["trade"], BUSINESS["trade"].replace(b'"data":', b'"data": ').replace(b'},"data"', b'} , "data"')
    later = plain.replace(b"4000001", b"4000002")

    assert found(plain, spaced) == found(spaced, plain) == found(plain, plain)
    assert [one.trade_id for one in found(plain, later) if isinstance(one, Trade)] == ["4000001", "4000002"]
    for torn in (later[:-1], later + b"}", later[:-2] + b"}", later.replace(b"}]}", b'}],"x":}')):
        parser = parsers.SpotParser(symbols_of("okx"))
        parser(plain, 7)
        with pytest.raises(FRAME_ERRORS):
            parser(torn, 7)
    (more,) = found(plain, later[:-1] + b',"seq":1}')[1:]
    assert isinstance(more, Trade)
    assert more.trade_id == "4000002"


def test_a_side_without_orders_is_null() -> None:
    """An empty list; a level without a price is an error."""
    (quote,) = found(PUBLIC["bbo_one_side"])

    assert isinstance(quote, Quote)
    assert (quote.bid_price, quote.bid_size, quote.ask_price) == (None, None, D("3000.6"))
    assert [type(one) for one in found(PUBLIC["bbo"].replace(b'"91000.1"', b'""'))] == [Odd, Unreadable]
    assert [type(one) for one in found(PUBLIC["bbo"].replace(b'"91000.1"', b"5"))] == [Odd, Unreadable]


def test_a_day_without_trades_has_no_prices() -> None:
    """The venue writes empty texts."""
    (day,) = found(PUBLIC["ticker_empty"])

    assert isinstance(day, Ticker)
    assert (day.last, day.open, day.base_volume) == (None, None, D(0))


def update(previous: int | None, last: int | None) -> BookUpdate:
    """An update with these numbers."""
    return BookUpdate("BTC-USDT", None, 7, [], [], None, last, previous)


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ((10, 15), Verdict.APPLY),
        ((10, 10), Verdict.APPLY),  # nothing has changed for a minute
        ((10, 3), Verdict.APPLY),  # numbers fall in maintenance
        ((11, 15), Verdict.BREAK),
        ((9, 15), Verdict.BREAK),
        ((9, 10), Verdict.SKIP),  # it came before
        ((None, 15), Verdict.BREAK),
        ((10, None), Verdict.BREAK),
    ],
)
def test_an_update_follows_the_one_that_it_names(numbers: tuple[int | None, int | None], verdict: Verdict) -> None:
    """Whatever its own number is."""
    assert books.follows(update(*numbers), 10) is verdict


def test_a_book_goes_on_after_maintenance() -> None:
    """10, 15, 15 (nothing has changed), 3 (numbers fall), 5: a book of all; one update less is a gap."""
    frames = [PUBLIC[f"book_{name}"] for name in ("snapshot", "update", "keeps_alive", "in_maintenance", "after_maintenance")]
    book = OrderBook(SPOT.book.of(symbols_of("okx")["BTC-USDT"]), 400)
    outcomes = [book.apply_snapshot(one) if isinstance(one, BookSnapshot) else book.apply_update(one) for one in books_in(frames)]

    assert outcomes == [Outcome.SYNCED, *[Outcome.APPLIED] * 4]
    assert (book.levels.bids.top(3), book.levels.asks.top(2)) == (
        [(D("91000.1"), D("3.1")), (D(91000), D(1)), (D("90999.5"), D("0.7"))],
        [(D("91000.2"), D("0.6")), (D(91001), D("0.2"))],
    )
    broken = OrderBook(SPOT.book.of(symbols_of("okx")["BTC-USDT"]), 400)
    del frames[1]
    snapshot, *updates = books_in(frames)
    assert isinstance(snapshot, BookSnapshot)
    broken.apply_snapshot(snapshot)
    assert next(broken.apply_update(one) for one in updates if isinstance(one, BookUpdate)) is Outcome.BROKEN


def books_in(frames: list[bytes]) -> list[BookSnapshot | BookUpdate]:
    """The snapshots and updates of these."""
    return [one for one in found(*frames) if isinstance(one, BookSnapshot | BookUpdate)]


def test_old_frames_are_proven_by_their_checksum() -> None:
    """As in the venue's examples of it; zero says nothing."""
    frames = [PUBLIC["book_2022"], PUBLIC["book_2022_update"]]
    instrument = symbols_of("okx")["ETH-USDT"]
    for change, outcome in (((b"", b""), Outcome.APPLIED), ((b"-1471518219", b"-1471518218"), Outcome.BROKEN)):
        book = OrderBook(SPOT.book.of(instrument), 400)
        snapshot, changed = books_in([frames[0], frames[1].replace(*change)])
        assert isinstance(snapshot, BookSnapshot)
        assert isinstance(changed, BookUpdate)
        assert book.apply_snapshot(snapshot) is Outcome.SYNCED
        assert book.apply_update(changed) is outcome
    checksum = SPOT.book.of(instrument).checksum
    assert checksum is not None
    assert checksum([(D("3366.1"), D(7))], [(D("3366.8"), D(9)), (D(3368), D(8)), (D(3372), D(8))]) == 831_078_360
    (new,) = books_in([PUBLIC["book_snapshot"]])
    assert new.checksum is None


def test_an_update_without_number_and_checksum_is_no_proof() -> None:
    """The book is broken by it."""
    frame = PUBLIC["book_2022_update"].replace(b'"checksum":-1471518219', b'"checksum":0')

    assert [getattr(one, "instruments", ()) for one in found(frame)] == [(), ("ETH-USDT",)]


def test_a_book_is_made_of_the_best_channel_that_came() -> None:
    """One of five levels beside it changes nothing; alone it is a book, complete in each frame."""
    five, more = PUBLIC["book_of_five"], PUBLIC["book_of_five_next"]
    deep = PUBLIC["book_snapshot"].replace(b"BTC-USDT", b"PEPE-USDT")

    assert [type(one) for one in found(five, more)] == [BookSnapshot, BookUpdate]
    assert [type(one) for one in found(five, deep, more)] == [BookSnapshot, BookSnapshot]
    assert found(deep, five) == found(deep)
    tick = deep.replace(b'"books"', b'"books-l2-tbt"')
    assert found(deep, tick) == found(deep)
    assert len(found(tick, PUBLIC["book_update"].replace(b"BTC-USDT", b"PEPE-USDT"))) == 1


def test_complete_books_are_ordered_by_their_numbers() -> None:
    """Their times repeat: one of the same millisecond is newer if its number is. In 2021 they had none."""
    five, more = PUBLIC["book_of_five"], PUBLIC["book_of_five_next"].replace(b'"1767225600300"', b'"1767225600200"')
    change = found(five, more)[1]

    assert isinstance(change, BookUpdate)
    assert (change.bids, change.asks) == ([(D("0.0000007464"), D(15693118))], [(D("0.0000007465"), D(0))])
    assert len(found(five, more, five)) == 2
    assert [type(one) for one in found(*(one.replace(b',"seqId":48263787', b',"old":48263787') for one in (five, more)))] == [
        BookSnapshot,
        BookUpdate,
    ]


def test_a_level_that_cannot_be_read_breaks_the_book() -> None:
    """Whatever is wrong with it."""
    for bad in (b'"abc"', b"null", b'"9\xd9\xa11000.3"', b"[]"):
        outputs = found(PUBLIC["book_update"].replace(b'"91000.3"', bad))
        assert [getattr(one, "instruments", None) for one in outputs] == [None, ("BTC-USDT",)]


def test_maintenance_of_all_is_the_venues_state() -> None:
    """While one of two goes on, the venue is down; that of a part, or of the demo, is not."""
    other = PUBLIC["status_ongoing"].replace(b'"1767229200000"', b'"1767229300000"').replace(b"WebSocket upgrade", b"Another")
    names = ("scheduled", "ongoing", "completed", "of_bots", "of_demo")
    frames = dict(zip(names, (PUBLIC[f"status_{name}"] for name in names), strict=True))

    made = found(frames["scheduled"], frames["ongoing"], other, frames["completed"], other.replace(b"ongoing", b"canceled"))
    assert [(one.state, one.reason) for one in made if isinstance(one, Status)] == [
        (FeedState.LIVE, ""), (FeedState.DOWN, "WebSocket upgrade"), (FeedState.DOWN, "WebSocket upgrade"), (FeedState.DOWN, "Another"),
        (FeedState.LIVE, ""),
    ]  # fmt: skip
    assert found(frames["of_bots"], frames["of_demo"]) == []


def test_days_begin_at_midnight_utc() -> None:
    """The channel without `utc` begins them at 16:00: it is not asked for, and its frames are passed over."""
    assert SPOT.candles is not None
    assert {ours: SPOT.candles.timeframes[ours] for ours in ("4h", "6h", "1d", "1w", "1M")} == {
        "4h": "4H", "6h": "6Hutc", "1d": "1Dutc", "1w": "1Wutc", "1M": "1Mutc",
    }  # fmt: skip
    assert set(SPOT.candles.refused) == {"3h", "8h", "3d"}
    assert found(BUSINESS["candle_1D_of_UTC+8"]) == []


def test_a_candle_says_that_it_is_closed() -> None:
    """Rows of before September 2022 do not; anything but 0 and 1 is an error."""
    frames = [BUSINESS[f"candle_{name}"] for name in ("1m", "closed", "2021")]
    running, closed, old = (one for one in found(*frames) if isinstance(one, Candle))

    assert [one.closed for one in (running, closed, old)] == [False, True, False]
    assert (old.volume, old.quote_volume) == (D(2), D("6001.2"))
    assert [type(one) for one in found(BUSINESS["candle_closed"].replace(b'"1"]', b'"2"]'))] == [Odd, Unreadable]


def test_a_refusal_names_its_topic_or_its_request() -> None:
    """One for too many requests is none: the same is asked for again."""
    named, whole = (one for name in ("error_that_names_its_topic", "error") for one in found(PUBLIC[name]) if isinstance(one, Rejected))

    assert (named.request_id, named.channel, named.symbols) == (4, "candle1m", ("BTC-USDT",))
    assert (whole.request_id, whole.channel, whole.symbols) == (3, None, ())
    assert [type(one) for one in found(PUBLIC["error_too_many"])] == [Odd]


def test_frames_of_contracts_are_passed_over() -> None:
    """They are another venue's here; a pair that is not listed is an error, and a channel that nobody knows."""
    assert found(PUBLIC["trade_of_elsewhere"], PUBLIC["index"], PUBLIC["price_limit"]) == []
    with pytest.raises(UnknownSymbol):
        found(BUSINESS["trade"].replace(b"BTC-USDT", b"NEW-USDT"))
    with pytest.raises(UnknownFrame):
        found(BUSINESS["trade"].replace(b"trades-all", b"trades-none"))


def test_a_request_has_an_argument_for_each_symbol() -> None:
    """With its number as text."""
    asked = msgspec.json.decode(connection.request("subscribe", Request("books", ("BTC-USDT", "ETH-USDT"), 4, 10)))

    assert asked == {"id": "4", "op": "subscribe", "args": [{"channel": "books", "instId": one} for one in ("BTC-USDT", "ETH-USDT")]}
    many = tuple(f"LONGNAME{n}-USDT" for n in range(SPOT.endpoints[0].symbols_per_request))
    assert len(connection.request("subscribe", Request("bbo-tbt", many, 4, 10))) < 64 * 1024


def test_pages_exclude_the_times_that_they_name() -> None:
    """So that the first candle wanted is in the answer."""
    minute = 1_767_225_600 * 10**9

    assert rest.candles_path("BTC-USDT", "1m", minute) == (
        "/api/v5/market/candles?instId=BTC-USDT&bar=1m&before=1767225599999&after=1767243600000&limit=300"
    )
    assert rest.range_path("BTC-USDT", "1d", minute, minute + 86_400 * 10**9) == (
        "/api/v5/market/history-candles?instId=BTC-USDT&bar=1Dutc&before=1767225599999&after=1767312000001&limit=100"
    )


def test_only_pairs_of_crypto_assets_are_listed() -> None:
    """The venue's tests and stocks are left out without a word; what cannot be read is odd."""
    listed = {one.symbol: one for one in SPOT.instruments.parse(REST["instruments"]) if isinstance(one, Instrument)}

    assert set(listed) == {"BTC-USDT", "ETH-USDT", "PEPE-USDT", "BTC-USD", "OLD-USDT"}
    assert (listed["BTC-USDT"].price_tick, listed["BTC-USDT"].size_step) == (D("0.1"), D("1E-8"))
    assert [one.symbol for one in listed.values() if not one.active] == ["OLD-USDT"]
    changes: list[tuple[bytes, bytes]] = [(b'"tickSz":"0.1"', b'"tickSz":""'), (b'"baseCcy":"BTC"', b'"baseCcy":null')]
    for change in changes:
        odd: list[Any] = [one for one in SPOT.instruments.parse(REST["instruments"].replace(*change, 1)) if isinstance(one, OddRow)]
        assert [one.symbol for one in odd] == ["BTC-USDT"]


def test_an_error_comes_with_a_code() -> None:
    """With HTTP 200."""
    assert SPOT.rest_error is not None
    assert SPOT.rest_error(b'{"code":"51001","data":[],"msg":"Instrument ID does not exist"}') == "51001 Instrument ID does not exist"
    assert SPOT.rest_error(REST["trades"]) is None
    assert SPOT.asked_to_wait is not None
    assert SPOT.asked_to_wait(200, b'{"code":"50011","data":[],"msg":"Too Many Requests"}') == 2.0
    assert SPOT.asked_to_wait(200, REST["trades"]) is None


def test_the_demo_is_chosen_by_a_header() -> None:
    """REST has the same host."""
    demo = SPOT.environments["demo"]

    assert demo.headers == {"x-simulated-trading": "1"}
    assert demo.ws_urls["business"] == "wss://wspap.okx.com:8443/ws/v5/business"
