"""HTX spot: joining a book that is asked for, the order and the repetition of trades, keepalive, REST."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from crosstape_connector.errors import UndecodableFrame, UnknownFrame, UnknownSymbol
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.htx import SPOT, books, rest, spot, spot_rest
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, Heartbeat, Odd, Output, Rejected, Reply, TradeSnapshot
from crosstape_connector.venues.spec import Request, Verdict, subscribed_depth
from crosstape_schemas import Book, FeedState, Gap, Quote, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of
from tests.connector.venues.test_contract import feeds

FRAMES: Final = frames_of("htx")
TOPIC: Final = "market.btcusdt.mbp.150"
NAME: Final = "BTC-USDT"
MS: Final = 1_000_000
S: Final = 1_000 * MS
START: Final = 1_767_225_600 * S
D: Final = Decimal


def change(before: int, last: int, bids: str = "[]", asks: str = "[]") -> bytes:
    """A frame of `mbp.150`."""
    tick = f'{{"seqNum":{last},"prevSeqNum":{before},"asks":{asks},"bids":{bids}}}'
    return f'{{"ch":"{TOPIC}","ts":1767225600000,"tick":{tick}}}'.encode()


def answer(last: int | None, bids: str = "[[100.0,1.0]]", asks: str = "[[101.0,1.0]]") -> bytes:
    """What a request for the book is answered with."""
    data = "null" if last is None else f'{{"bids":{bids},"asks":{asks},"seqNum":{last}}}'
    return f'{{"id":"req {TOPIC}","status":"ok","ts":1767225600500,"rep":"{TOPIC}","data":{data}}}'.encode()


def ack(done: str = "subbed") -> bytes:
    """An acknowledgement of the book's topic."""
    return f'{{"id":"9","status":"ok","{done}":"{TOPIC}","ts":1767225600000}}'.encode()


PING: Final = b'{"ping":1767225600000}'
ASKED: Final = Reply(b'{"req":"market.btcusdt.mbp.150","id":"req market.btcusdt.mbp.150"}')


class Line:
    """One connection, and the feeds that it goes to."""

    def __init__(self) -> None:
        self.parser = spot.Parser(symbols_of("htx"))
        self.feeds: FeedHandler = feeds(SPOT)
        self.events: list[Any] = []

    def send(self, frame: bytes, ms: int = 0) -> list[Output]:
        """Receive a frame at a time; returns the replies and what else concerns the session."""
        session: list[Output] = []
        for output in self.parser(frame, START + ms * MS):
            if isinstance(output, Reply | Odd):
                session.append(output)
            else:
                self.events += self.feeds.apply(output)
        return session

    @property
    def book(self) -> Book | None:
        """The newest book."""
        return next((event for event in reversed(self.events) if isinstance(event, Book)), None)


def test_a_book_is_asked_for_after_the_first_change_and_joined_to_what_was_kept() -> None:
    """The answer is older than the newest change: changes that it holds are dropped, the others are applied to it."""
    line = Line()

    assert line.send(ack()) == []
    assert line.send(change(90, 95, asks="[[101.0,7.0]]")) == [ASKED]
    assert line.send(change(95, 100, bids="[[100.0,3.0]]"), 100) == []
    line.send(change(100, 104, bids="[[99.0,2.0]]"), 200)
    assert line.book is None
    line.send(answer(95), 300)

    book = line.book
    assert book is not None
    assert (book.sequence, book.state) == (104, FeedState.LIVE)
    assert book.bids == ((D("100.0"), D("3.0")), (D("99.0"), D("2.0")))
    assert book.asks == ((D("101.0"), D("1.0")),)
    line.send(change(104, 110, asks="[[101.0,0.0],[102.0,4.0]]"), 400)
    assert line.book is not None
    assert line.book.asks == ((D("102.0"), D("4.0")),)
    assert not [event for event in line.events if isinstance(event, Gap)]


def test_the_first_change_may_begin_before_the_book() -> None:
    """Sizes are absolute: its number need only lie beyond the book's."""
    line = Line()
    line.send(change(90, 95))
    line.send(answer(93), 100)

    assert line.book is not None
    assert line.book.sequence == 95
    assert books.follows(BookUpdate("x", 0, 0, [], [], None, 95, 90), 93) is Verdict.APPLY
    assert books.follows(BookUpdate("x", 0, 0, [], [], None, 93, 90), 93) is Verdict.SKIP
    assert books.follows(BookUpdate("x", 0, 0, [], [], None, 95, 94), 93) is Verdict.BREAK


def test_an_answer_that_is_older_than_what_was_kept_is_asked_for_again() -> None:
    """As is one without a book, or one that cannot be read; never twice within 100 ms."""
    line = Line()
    assert line.send(change(90, 95)) == [ASKED]
    for at, useless in ((50, answer(89)), (700, answer(None)), (1_400, answer(95).replace(b"100.0", b'"x"'))):
        assert ASKED not in line.send(useless, at)
        assert line.book is None
        assert line.send(PING, at + 200)[1:] == []
        assert line.send(PING, at + 400)[1:] == [ASKED]
    line.send(answer(95), 3_000)
    assert line.book is not None
    assert line.send(PING, 9_000)[1:] == []


def test_a_lost_answer_is_asked_for_again() -> None:
    """After three seconds, with whatever frame comes then."""
    line = Line()
    line.send(change(90, 95))
    assert line.send(change(95, 97), 2_900) == []
    assert line.send(change(97, 99), 3_100) == [ASKED]


def test_requests_of_several_books_are_apart() -> None:
    """The venue refuses more than one in 100 ms on a connection."""
    line = Line()
    other = change(1, 2).replace(b"btcusdt", b"ethusdt")
    assert line.send(change(90, 95)) == [ASKED]
    assert line.send(other, 10) == []
    (reply,) = line.send(change(95, 96), 120)
    assert isinstance(reply, Reply)
    assert b"ethusdt" in reply.data


def test_a_quiet_market_is_asked_for_without_a_change() -> None:
    """Two seconds after the acknowledgement, with the next ping; the first change later must link to it."""
    line = Line()
    line.send(ack())
    assert line.send(PING, 1_900)[1:] == []
    assert line.send(PING, 2_100)[1:] == [ASKED]
    line.send(answer(95), 2_200)
    assert line.book is not None
    line.send(change(95, 99, bids="[[100.0,5.0]]"), 9_000)
    assert line.book is not None
    assert line.book.sequence == 99


def test_a_missing_change_breaks_the_book_and_a_new_subscription_mends_it() -> None:
    """Subscribed again, the book is asked for at once."""
    line = Line()
    line.feeds.open_topics([Topic("feed", "mbp", "btcusdt")], START)
    line.send(change(90, 95))
    line.send(answer(95), 100)
    line.send(change(97, 99), 200)
    assert [gap.kind for gap in line.events if isinstance(gap, Gap)].count("book") == 1

    line.send(ack("unsubbed"), 300)
    assert line.send(ack(), 400) == [ASKED]
    line.send(change(120, 121), 500)
    line.send(answer(121, bids="[[98.0,1.0]]"), 600)
    assert line.book is not None
    assert (line.book.state, line.book.sequence) == (FeedState.LIVE, 121)


def test_a_book_that_a_recorder_asked_for_again_is_used() -> None:
    """Where changes are missing the documents let a client ask once more, without a new subscription. One that is too old is no book."""
    line = Line()
    line.send(change(90, 95))
    line.send(answer(95), 100)
    line.send(answer(94), 110)
    assert line.book is not None
    assert line.book.sequence == 95
    line.send(change(97, 99), 200)
    line.send(answer(96, bids="[[90.0,1.0]]"), 300)
    assert line.book.state is not FeedState.LIVE or line.book.sequence == 95
    line.send(change(99, 103, asks="[[101.0,2.0]]"), 400)
    line.send(answer(99, bids="[[98.0,1.0]]"), 500)
    assert (line.book.state, line.book.sequence) == (FeedState.LIVE, 103)
    assert (line.book.bids, line.book.asks) == (((D("98.0"), D("1.0")),), ((D("101.0"), D("2.0")),))
    assert line.send(PING, 9_000)[1:] == []


def test_a_refused_request_for_a_book_is_repeated() -> None:
    """It is no refusal of a subscription."""
    line = Line()
    line.send(change(90, 95))
    (odd,) = line.send(b'{"status":"error","ts":1,"id":"req market.btcusdt.mbp.150","err-code":"429","err-msg":"too many request"}', 50)
    assert isinstance(odd, Odd)
    assert line.send(PING, 3_100)[1:] == [ASKED]


def test_a_clock_that_is_set_back_does_not_stop_the_requests() -> None:
    """Their times are our own."""
    line = Line()
    line.send(change(90, 95))
    line.send(answer(None), 100)
    line.send(PING, -3_600_000)
    assert line.send(PING, -3_599_800)[1:] == [ASKED]


def test_a_level_that_cannot_be_read_breaks_its_book() -> None:
    """The changes after it would link."""
    line = Line()
    line.send(change(90, 95))
    line.send(answer(95), 100)
    line.send(change(95, 99, bids='[["x",1]]'), 200)
    assert [gap.kind for gap in line.events if isinstance(gap, Gap)].count("book") == 1


def test_answers_for_books_that_are_not_subscribed_are_nothing() -> None:
    """They may come after the topic was left."""
    line = Line()
    assert line.send(answer(95)) == []
    line.send(change(90, 95))
    line.send(ack("unsubbed"), 10)
    assert line.send(answer(95), 20) == []
    assert line.send(PING, 9_000)[1:] == []


def test_of_two_topics_of_a_book_one_is_used() -> None:
    """A recording may have both; the first counts."""
    parser = spot.Parser(symbols_of("htx"))
    parser(change(90, 95), 7)
    complete = FRAMES["book_complete"].replace(b"yfihusd", b"btcusdt")
    assert parser(complete, 8) == ()


def test_a_complete_book_is_linked_by_its_time() -> None:
    """An older one is ignored; the version repeats and is not looked at."""
    parser = spot.Parser(symbols_of("htx"))
    first, later = FRAMES["book_complete"], FRAMES["book_complete_later"]
    (made,), (changed,) = parser(first, 7), parser(later, 8)
    assert isinstance(made, BookSnapshot)
    assert isinstance(changed, BookUpdate)
    assert made.sequence is not None
    assert books.follows(changed, made.sequence) is Verdict.APPLY
    assert not parser(first, 9)


def test_the_first_trades_are_from_before() -> None:
    """They begin no tape, and after a reconnect only what is new of them is published. Rows come newest first."""
    line = Line()
    line.send(FRAMES["trade_before"])
    assert not [event for event in line.events if isinstance(event, Trade)]
    line.send(FRAMES["trades"])
    line.parser = spot.Parser(symbols_of("htx"))
    line.send(FRAMES["trades"])
    line.send(FRAMES["trade_without_side"])

    found = [event for event in line.events if isinstance(event, Trade)]
    assert [(trade.trade_id, trade.taker is None) for trade in found] == [("4000011", False), ("4000012", False), ("4000013", True)]
    assert line.feeds.trades.duplicates() == 2


def test_a_subscription_that_begins_again_is_answered_with_old_trades_again() -> None:
    """On the same connection."""
    parser = spot.Parser(symbols_of("htx"))
    parser(FRAMES["trade_before"], 7)
    assert [type(output) for output in parser(FRAMES["trade_before"], 8)] == [Trade]
    parser(b'{"id":"3","status":"ok","unsubbed":"market.btcusdt.trade.detail","ts":1}', 9)
    assert [type(output) for output in parser(FRAMES["trade_before"], 10)] == [TradeSnapshot]


def test_a_row_that_cannot_be_read_leaves_its_neighbours() -> None:
    """Its id shows that it is missing."""
    parser = spot.Parser(symbols_of("htx"))
    parser(FRAMES["trade_before"], 7)
    for bad in (b'"amount":"x"', b'"amount":NaN', b'"amount":-1', b'"amount":"1_0"'):
        odd, trade = parser(FRAMES["trades"].replace(b'"amount":716.0', bad), 8)
        assert isinstance(odd, Odd)
        assert isinstance(trade, Trade)
        assert trade.trade_id == "4000012"


def test_a_day_that_cannot_be_read_leaves_those_of_other_symbols() -> None:
    """A recording may have the days of all symbols in one frame."""
    day = '"open":1.0,"high":2.0,"low":0.5,"close":1.5,"amount":{},"vol":7.0'
    rows = [f'{{"symbol":"btcusdt",{day.format(amount)}}}' for amount in ('"x"', "NaN", "9.2E-7")]
    frame = f'{{"ch":"market.tickers","ts":1767225600000,"data":[{",".join([*rows, rows[2].replace("btcusdt", "nobodys")])}]}}'
    found = spot.Parser(symbols_of("htx"))(frame.encode(), 7)
    assert [type(output).__name__ for output in found] == ["Ticker", "Odd", "Odd"]
    assert getattr(found[0], "base_volume", None) == D("9.2E-7")


def test_ids_of_27_digits_are_not_read() -> None:
    """Whatever they are: the trade's id is another."""
    parser = spot.Parser(symbols_of("htx"))
    for other in (b'"id":1.37E+26', b'"id":"10020171792852100010452"', b'"id":' + b"9" * 60):
        frame = FRAMES["trade_before"].replace(b'"id":100373972746255757500235010', other)
        assert other in frame
        (made,) = spot.Parser(symbols_of("htx"))(frame, 7)
        assert isinstance(made, TradeSnapshot)
        assert [trade.trade_id for trade in made.trades] == ["4000010"]
    assert parser(PING, 7) == (Reply(b'{"pong":1767225600000}'),)


def test_a_quote_without_a_time_is_none() -> None:
    """The quote before it is over."""
    (quote,) = spot.Parser(symbols_of("htx"))(FRAMES["quote"], 7)
    assert isinstance(quote, Quote)
    assert (quote.bid_size, quote.venue_ts) == (D("0.000031"), 1_767_225_600_122 * MS)
    assert [type(output).__name__ for output in spot.Parser(symbols_of("htx"))(FRAMES["quote_without_time"], 7)] == ["Odd", "Unreadable"]


def test_a_topic_may_stand_anywhere_in_a_frame() -> None:
    """Most frames begin with it."""
    frame = msgspec.json.decode(FRAMES["ticker"])
    turned = msgspec.json.encode({name: frame[name] for name in ("tick", "ts", "ch")})
    (made,) = spot.Parser(symbols_of("htx"))(turned, 7)
    assert type(made).__name__ == "Ticker"
    with pytest.raises(UnknownFrame):
        spot.Parser(symbols_of("htx"))(b'{"ch":"market.btcusdt.horoscope","ts":1,"tick":{}}', 7)
    with pytest.raises(UnknownSymbol):
        spot.Parser(symbols_of("htx"))(b'{"ch":"market.nobodys.bbo","ts":1,"tick":{}}', 7)


def test_requests_name_one_topic() -> None:
    """The book's has its depth."""
    request = Request("mbp", ("btcusdt",), 9, subscribed_depth(SPOT, 10))
    assert msgspec.json.decode(spot.request("subscribe", request)) == {"sub": TOPIC, "id": "9"}
    trades = Request("trade.detail", ("btcusdt",), 10, 10)
    assert msgspec.json.decode(spot.request("unsubscribe", trades)) == {"unsub": "market.btcusdt.trade.detail", "id": "10"}
    assert [subscribed_depth(SPOT, depth) for depth in (1, 20, 200, 1_000)] == [5, 150, 400, 400]


def test_a_refusal_of_nobodys_request_is_counted() -> None:
    """One without an id may be of any."""
    parser = spot.Parser(symbols_of("htx"))
    assert parser(b'{"id":"x1","status":"ok","subbed":"market.btcusdt.bbo","ts":1}', 7) == (Heartbeat(),)
    assert [type(output) for output in parser(b'{"status":"error","id":"x1","err-code":"bad-request","err-msg":"no"}', 7)] == [Odd]
    assert [type(output) for output in parser(b'{"status":"error","id":"","err-code":"bad-request","err-msg":"no"}', 7)] == [Rejected]


def test_every_frame_is_gzip_of_bounded_text() -> None:
    """Text that is no gzip is a bad frame."""
    for endpoint in SPOT.endpoints:
        assert endpoint.binary is not None
        with pytest.raises(UndecodableFrame):
            endpoint.binary(PING)


def test_candles_by_rest_come_newest_first() -> None:
    """They are put in order; one that contradicts itself is left out."""
    instrument = symbols_of("htx")["btcusdt"]
    body = answers_of("htx")["candles"]
    made = spot_rest.parse_candles(body, instrument, "1m", 7)
    assert [one.open_ts // S for one in made.candles] == [1_767_225_600, 1_767_225_660]
    assert [(str(one.volume), one.trades) for one in made.candles] == [("2.4448", 3), ("0.0", 0)]
    worse = spot_rest.parse_candles(body.replace(b'"low":90999.99', b'"low":91000.1'), instrument, "1m", 7)
    assert (len(worse.candles), len(worse.odd)) == (1, 1)
    assert spot_rest.range_path("btcusdt", "1h", START, START + 60 * S).endswith("period=60min&size=1000&from=1767225600&to=1767225660")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"status":"error","err-code":"invalid-parameter","err-msg":"invalid symbol"}', "invalid-parameter invalid symbol"),
        (b'{"status":"error","err_code":1014,"err_msg":"This contract doesnt exist."}', "1014 This contract doesnt exist."),
        (b'{"status":"maintain"}', "maintenance"),
        (b'{"code":2002,"message":"invalid field value"}', "2002 invalid field value"),
        (b'{"code":200,"message":"success","data":{}}', None),
        (b'{"status":"ok","data":[]}', None),
        (b"garbage", None),
    ],
)
def test_errors_come_with_http_200(body: bytes, error: str | None) -> None:
    """With a dash for markets, and an underscore for all else."""
    assert rest.rest_error(body) == error
