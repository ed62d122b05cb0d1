"""Hyperliquid: the outputs of its frames, what becomes of them on the tape, its names and its requests."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.hyperliquid import PERPETUALS, SPOT, rest, stream
from crosstape_connector.venues.messages import (
    Ack,
    BookSnapshot,
    BookUpdate,
    Heartbeat,
    Odd,
    Output,
    Rejected,
    TradeSnapshot,
    Unreadable,
    unread,
)
from crosstape_connector.venues.spec import Request
from crosstape_schemas import Book, Funding, Gap, Instrument, OpenInterest, Quote, Ticker, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of
from tests.connector.venues.test_contract import feeds

FRAMES: Final = frames_of("hyperliquid")
NAME: Final = "BTC-USDC-PERP"
T: Final = 1_767_225_600_000


def parse(*made: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7, 8, 9 …"""
    parser = stream.Parser(symbols_of("hyperliquid"))
    return [output for at, frame in enumerate(made, 7) for output in parser(frame, at)]


def frame(channel: str, data: object) -> bytes:
    """A frame with data."""
    return msgspec.json.encode({"channel": channel, "data": data})


def trades(*rows: tuple[int, int, str]) -> bytes:
    """(ms after T, tid, size) of trades in bitcoin."""
    made = [{"coin": "BTC", "side": "B", "px": "91000.1", "sz": size, "time": T + ms, "hash": "0x0", "tid": tid} for ms, tid, size in rows]
    return frame("trades", made)


def book(ms: int, bid: str, *, fast: bool = True) -> bytes:
    """A book of one level a side."""
    levels = [[{"px": "91000.1", "sz": bid, "n": 1}], [{"px": "91000.2", "sz": "1", "n": 1}]]
    return frame("l2Book", {"coin": "BTC", "time": T + ms, "levels": levels} | ({"fast": True} if fast else {}))


class Tape:
    """The events of several connections, one after the other."""

    def __init__(self) -> None:
        self.feeds: FeedHandler = feeds(PERPETUALS)
        self.topic = Topic("ws", "trades", "BTC")
        self.now = 0

    def connection(self, *made: bytes) -> list[Any]:
        """Connect, subscribe, read these, and lose the connection. Returns trades' sizes and gaps, in order."""
        parser = stream.Parser(symbols_of("hyperliquid"))
        events: list[Any] = []
        self.now += 10
        events += self.feeds.open_topics([self.topic], self.now)
        events += self.feeds.confirm_topics([self.topic], self.now)
        for data in (FRAMES["ack_trades"], *made):
            self.now += 1
            for output in parser(data, self.now):
                if not isinstance(output, Ack):
                    events += self.feeds.apply(output)
        events += self.feeds.close_topics([self.topic], self.now + 1, "lost")
        wanted = [event for event in events if isinstance(event, Trade) or (isinstance(event, Gap) and event.kind == "trade")]
        return [str(event.size) if isinstance(event, Trade) else "gap" for event in wanted]


def test_past_trades_after_a_subscription_are_not_published_twice() -> None:
    """Those of the first connection are of before the tape. The first frame after an acknowledgement is theirs, and no other."""
    tape = Tape()
    assert tape.connection(trades((-9, 5, "1"), (-8, 9, "2")), trades((0, 7, "3"), (0, 4, "4"))) == ["3", "4"]
    assert tape.connection(trades((-8, 9, "2"), (0, 7, "3"), (0, 4, "4")), trades((5, 1, "5"))) == ["5"]


def test_a_lost_connection_leaves_a_gap_only_if_its_trades_may_be_missing() -> None:
    """Past trades that reach back to those on the tape hold all that was missed; others do not."""
    tape = Tape()
    tape.connection(trades((-9, 5, "1")), trades((0, 7, "3")))

    assert tape.connection(trades((0, 7, "3"), (2, 8, "4")), trades((5, 1, "5"))) == ["4", "5"]
    assert tape.connection(trades((700, 2, "6"), (701, 3, "7"))) == ["gap", "6", "7"]


def test_trades_of_one_time_have_ids_of_their_own() -> None:
    """`tid` does not grow, and `hash` is a transaction's: the id is the time and the `tid`."""
    found = [output for output in parse(trades((0, 2**50 - 1, "1"), (0, 3, "1"), (1, 2, "1"))) if isinstance(output, Trade)]

    assert [one.trade_id for one in found] == [f"{T}1125899906842623", f"{T}0000000000000003", f"{T + 1}0000000000000002"]


def test_trades_without_an_acknowledgement_are_no_past_ones() -> None:
    """A recording may begin in the middle of a connection."""
    assert isinstance(parse(trades((0, 1, "1")))[0], Trade)
    assert isinstance(parse(FRAMES["ack_trades"], trades((0, 1, "1")))[-1], TradeSnapshot)


def test_a_trade_that_cannot_be_read_is_a_gap_and_the_others_stay() -> None:
    """A price that is none, a row of another form, a frame that is cut."""
    for data in (trades((0, 1, "1"), (0, 2, "NaN")), trades((0, 1, "1"), (0, 2, "x")).replace(b'"sz":"x"', b'"sz":7')):
        found = parse(data)
        assert [one.trade_id[-1] for one in found if isinstance(one, Trade)] == ["1"]
        assert Unreadable("trade", NAME, 7) in found
    assert Unreadable("trade", NAME, 7) in parse(trades((0, 1, "1"))[:-9])


def test_a_quote_without_a_side_is_null_there() -> None:
    """An empty side is null, or is missing."""
    for sides in ([{"px": "1.5", "sz": "2"}, None], [{"px": "1.5", "sz": "2"}]):
        (quote,) = parse(frame("bbo", {"coin": "BTC", "time": T, "bbo": sides}))
        assert isinstance(quote, Quote)
        assert (quote.bid_price, quote.ask_price, quote.ask_size) == ("1.5", None, None)
    assert Unreadable("quote", NAME, 7) in parse(frame("bbo", {"coin": "BTC", "time": T, "bbo": None}))


def test_a_book_is_a_snapshot_again_after_each_subscription() -> None:
    """And an older one is left out: it was overtaken."""
    found = parse(book(10, "1"), book(20, "2"), book(15, "3"), FRAMES["ack_book"], book(15, "3"))

    assert [type(output) for output in found] == [BookSnapshot, BookUpdate, Odd, Ack, BookSnapshot]


def test_books_of_two_forms_are_not_mixed() -> None:
    """Five levels and twenty come on one channel: levels beyond the fifth would go and come."""
    found = parse(book(10, "1"), book(11, "1", fast=False), book(20, "2"))

    assert [type(output) for output in found] == [BookSnapshot, Odd, BookUpdate]


def test_a_book_that_cannot_be_read_is_a_break() -> None:
    """The book before it is out of date."""
    for bad in (book(20, "x"), book(20, "1").replace(b'"px"', b'"p"'), book(20, "\u0661")):
        found = parse(book(10, "1"), bad, book(30, "1"))
        assert unread(NAME, 8) in found
        assert isinstance(found[-1], BookSnapshot)


def test_figures_without_a_time_are_those_of_their_receipt() -> None:
    """Nothing says when they were made."""
    found = parse(FRAMES["context"])

    assert {output.venue_ts for output in found if isinstance(output, Ticker | Funding | OpenInterest)} == {None}
    assert next(output for output in found if isinstance(output, Ticker)).last is None


def test_funding_is_paid_at_the_next_whole_hour() -> None:
    """Its rate is that of one hour."""
    parser = stream.Parser(symbols_of("hyperliquid"))
    for now, due in ((3_599, 3_600), (3_600, 7_200)):
        (funding,) = [one for one in parser(FRAMES["context"], now * 10**9) if isinstance(one, Funding)]
        assert (funding.interval_s, funding.next_ts) == (3_600, due * 10**9)


def test_figures_that_cannot_be_read_are_out_of_date() -> None:
    """All that came with them."""
    found = parse(FRAMES["context"].replace(b'"91004.0"', b'"x"'))

    assert {one.kind for one in found if isinstance(one, Unreadable)} == {"ticker", "mark", "funding", "open_interest"}


def test_a_candle_of_another_interval_is_nothing() -> None:
    """Its weeks begin on Thursday; three days are no timeframe of ours."""
    assert parse(FRAMES["candle_week"]) == []


def test_what_a_connection_says_of_itself() -> None:
    """A pong has no data; old servers greeted by a text; a coin that is no longer subscribed is one all the same."""
    assert parse(b'{"channel":"pong"}', stream.GREETING) == [Heartbeat(), Heartbeat()]
    with pytest.raises(FRAME_ERRORS):
        parse(b'{"channel":"nothing"}')
    with pytest.raises(FRAME_ERRORS):
        parse(trades((0, 1, "1")).replace(b'"BTC"', b'"btc"'))


def test_too_many_messages_refuse_no_subscription() -> None:
    """The one that was too many is sent again. Too many subscriptions are a refusal."""
    texts = "Cannot send more than 2000 messages per minute.", "Cannot subscribe to more than 1000 channels."

    assert [type(output) for text in texts for output in parse(frame("error", text))] == [Odd, Rejected]


def test_a_subscription_is_one_coin_and_a_book_is_a_fast_one() -> None:
    """Coins are sent as they are listed: they are case-sensitive."""
    asked = [stream.request("subscribe", Request(channel, ("kPEPE",), 1, 5)) for channel in ("l2Book", "candle_15m", "activeAssetCtx")]

    assert [msgspec.json.decode(data)["subscription"] for data in asked] == [
        {"type": "l2Book", "coin": "kPEPE", "fast": True},
        {"type": "candle", "coin": "kPEPE", "interval": "15m"},
        {"type": "activeAssetCtx", "coin": "kPEPE"},
    ]


def test_a_request_by_rest_is_a_post_of_its_type() -> None:
    """The query is the rest of the body."""
    assert rest.posted("/info/spotMeta") == ("/info", b'{"type":"spotMeta"}')
    assert rest.posted(rest.quotes_path(["xyz:SP500"])) == ("/info", b'{"type":"l2Book","coin":"xyz:SP500"}')
    assert rest.posted(rest.range_path("@107", "1m", 60_000_000_000, 120_000_000_000)) == (
        "/info",
        b'{"type":"candleSnapshot","req":{"coin":"@107","interval":"1m","startTime":60000,"endTime":120000}}',
    )
    assert PERPETUALS.rest_error is not None
    assert PERPETUALS.rest_error(b"null") == "no such coin"


def test_builders_contracts_keep_their_prefix_and_their_quote() -> None:
    """`hyna:BTC` is another contract than `BTC`. One that is settled in a token without a known name is odd, and no other."""
    found = PERPETUALS.instruments.parse(answers_of("hyperliquid")["instruments"])

    assert [one.name for one in found if isinstance(one, Instrument)] == [
        "BTC-USDC-PERP", "ETH-USDC-PERP", "MATIC-USDC-PERP", "kPEPE-USDC-PERP", "xyz.SP500-USDC-PERP", "hyna.BTC-USDE-PERP",
    ]  # fmt: skip
    assert [one.reason for one in found if isinstance(one, Odd)] == [
        "new:ABC: the name of token 7001, in which it is settled, is not known"
    ]


def test_tokens_of_a_pair_are_indices_and_not_places() -> None:
    """A token that is missing makes its pair odd; of two tokens with one name, the pair that is listed first has it."""
    found = SPOT.instruments.parse(answers_of("hyperliquid_spot")["instruments"])

    names = {one.symbol: one.name for one in found if isinstance(one, Instrument)}
    assert names == {"@142": "BTC-USDC", "@151": "ETH-USDC", "PURR/USDC": "PURR-USDC", "@207": "HYPE-USDT0"}
    assert [one.kind for one in found if isinstance(one, Odd)] == ["instrument_malformed", "instrument_duplicate"]


def test_a_published_book_is_as_deep_as_the_venues() -> None:
    """Ten levels are wanted, and five are known. A recording may have twenty."""
    for fast, depth in ((True, 5), (False, 10)):
        tape = feeds(PERPETUALS)
        topic = Topic("ws", "l2Book", "BTC")
        tape.open_topics([topic], 1)
        tape.confirm_topics([topic], 2)
        found = [event for output in parse(book(0, "1", fast=fast)) for event in (*tape.apply(output), *tape.due_books(9))]
        assert [event.depth for event in found if isinstance(event, Book)] == [depth]
