"""HTX contracts: sizes, both sides of a trade, numbered books, marks, funding, states, instruments."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from crosstape_connector.errors import NotANumber
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.venues.htx import SWAP, frames, swap, swap_rest
from crosstape_connector.venues.htx.values import BothSides
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, Heartbeat, Odd, OddRow, Output, Reply, TradeSnapshot
from crosstape_connector.venues.spec import Request, subscribed_depth
from crosstape_schemas import Book, Candle, FeedState, Funding, Gap, Instrument, Mark, OpenInterest, Quote, Status, Ticker, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of
from tests.connector.venues.test_contract import feeds

FRAMES: Final = {name: frame for endpoint in SWAP.endpoints for name, frame in frames_of("htx_swap", endpoint.name).items()}
NAME: Final = "BTC-USDT-PERP"
D: Final = Decimal
S: Final = 1_000_000_000


def parser() -> swap.Parser:
    """One connection."""
    return swap.Parser(symbols_of("htx_swap"))


def parse(*made: bytes) -> list[Output]:
    """All that one connection finds in these."""
    one = parser()
    return [output for at, frame in enumerate(made, 7) for output in one(frame, at)]


def sizes(outputs: list[Output]) -> list[str]:
    """Sizes of the trades among these."""
    return [str(output.size) for output in outputs if isinstance(output, Trade)]


def test_a_trade_counts_both_sides_until_a_number_is_odd() -> None:
    """Half of an even number of contracts, times their size. An odd one is reported, and from then on nothing is halved."""
    before, trades, candle = FRAMES["trade_before"], FRAMES["trades"], FRAMES["candle"]
    odd = trades.replace(b'"amount":146', b'"amount":147')

    assert sizes(parse(before, trades)) == ["0.0230", "0.0365"]
    found = parse(before, trades, odd, trades, candle)
    assert sizes(found) == ["0.0230", "0.0365", "0.0230", "0.0735", "0.0460", "0.0730"]
    reported = [output for output in found if isinstance(output, Odd)]
    assert [(one.kind, "147 contracts" in one.reason) for one in reported] == [("one_side", True)]
    (last,) = [output for output in found if isinstance(output, Candle)]
    assert str(last.volume) == "0.003"
    assert sizes(parse(before, trades)) == ["0.0230", "0.0365"], "another connection begins with the documents' rule"


def test_an_odd_volume_is_not_halved() -> None:
    """In a ticker or a candle, on the stream or by REST, where all rows of an answer have one rule."""
    (day,) = parse(FRAMES["ticker"])
    assert isinstance(day, Ticker)
    assert (day.base_volume, day.quote_volume) == (D("15.158"), D("1379378.2459"))
    odd, day = parse(FRAMES["ticker"].replace(b'"vol":60632', b'"vol":60633'))
    assert isinstance(odd, Odd)
    assert isinstance(day, Ticker)
    assert day.base_volume == D("30.316")

    instrument, body = symbols_of("htx_swap")["BTC-USDT"], answers_of("htx_swap")["candles"]
    assert [str(one.volume) for one in swap_rest.parse_candles(body, instrument, "1m", 7).candles] == ["0.0015", "0"]
    whole = swap_rest.parse_candles(body.replace(b'"vol":0}', b'"vol":3}'), instrument, "1m", 7)
    assert ([str(one.volume) for one in whole.candles], [one.kind for one in whole.odd]) == (["0.003", "0"], ["one_side"])
    page = swap_rest.parse_trades(answers_of("htx_swap")["trades"].replace(b'"amount":80', b'"amount":81'), instrument, 7)
    assert [str(trade.size) for trade in page.trades] == ["0.0030", "0.0405"]
    assert ([one.kind for one in page.odd], page.left_out) == (["one_side"], 0)


def test_open_interest_is_halved_only_if_all_numbers_are_even() -> None:
    """One odd number in an answer shows that it is of one side, also for contracts that were not asked for."""
    symbols, body = symbols_of("htx_swap"), answers_of("htx_swap")["open_interest"]
    found = swap_rest.parse_interest(body, symbols, 7)
    assert [(one.instrument, one.size) for one in found if isinstance(one, OpenInterest)] == [
        (NAME, D("39.348")), ("BTC-USDT-20261225", D("2.7315")),
    ]  # fmt: skip
    single = swap_rest.parse_interest(body.replace(b'"volume":2,', b'"volume":3,'), symbols, 7)
    assert [one.size for one in single if isinstance(one, OpenInterest)] == [D("78.696"), D("5.463")]
    assert len(single) == 2


def test_the_first_trades_are_from_before() -> None:
    """They begin no tape. Ids grow, and a repeated row is published once."""
    found, events = feeds(SWAP), list[Any]()
    for output in parse(FRAMES["trade_before"], FRAMES["trades"], FRAMES["trades"]):
        events += found.apply(output)
    assert [event.trade_id for event in events if isinstance(event, Trade)] == ["263618781660000", "263618781660001"]
    assert [type(output) for output in parse(FRAMES["trade_before"])] == [TradeSnapshot]


def test_trades_that_a_dead_stream_left_out_are_a_gap() -> None:
    """Ids do not show which are missing. If the answer to a new subscription is a trade that is known, none is."""
    unsubscribed = b'{"id":"3","status":"ok","unsubbed":"market.BTC-USDT.trade.detail","ts":1}'
    for again, expected in ((FRAMES["trades"].replace(b"26361878166000", b"26361879999000"), [(8, 10)]), (FRAMES["trades"], [])):
        found, one, events = feeds(SWAP), parser(), list[Any]()
        for now, frame in ((7, FRAMES["trade_before"]), (8, FRAMES["trades"]), (9, unsubscribed), (10, again)):
            if now == 9:
                events += found.mark_stale(FeedKey("trade", NAME), now, "silent")
            for output in one(frame, now):
                events += found.apply(output)
        assert [(gap.from_ts, gap.to_ts) for gap in events if isinstance(gap, Gap)] == expected


def test_a_trade_that_cannot_be_read_is_a_gap() -> None:
    """No id shows that it is missing; its neighbours are used."""
    found, events = feeds(SWAP), list[Any]()
    for output in parse(FRAMES["trade_before"], FRAMES["trades"].replace(b'"amount":92', b'"amount":"x"'), FRAMES["trades"][:-9]):
        events += found.apply(output)
    assert [event.trade_id for event in events if isinstance(event, Trade)] == ["263618781660001"]
    assert [event.kind for event in events if isinstance(event, Gap)] == ["trade", "trade"]


def test_inverse_contracts_become_base_units_at_their_price() -> None:
    """Recordings have them: 100 USD each."""
    (quote,) = parse(FRAMES["quote_inverse"])
    assert isinstance(quote, Quote)
    assert (quote.bid_size, quote.bid_price) == (D("0.01"), D(80_000))
    (day,) = parse(FRAMES["ticker_inverse"])
    assert isinstance(day, Ticker)
    assert day.quote_volume == 213_036_300


def test_versions_link_a_book() -> None:
    """Each is one above the last; an empty change counts, a missing one breaks the book, and a new subscription mends it."""
    found, events = feeds(SWAP), list[Any]()
    one = parser()
    missed = FRAMES["book_change"].replace(b"1789895280798", b"1789895280801")
    again = FRAMES["book"].replace(b"1789895280797", b"1789895280901")
    for at, frame in enumerate((FRAMES["book"], FRAMES["book_change"], FRAMES["book_change_empty"], missed, again), 7):
        for output in one(frame, at):
            events += found.apply(output)
    books = [event for event in events if isinstance(event, Book) and event.instrument == NAME]
    gaps = [event for event in events if isinstance(event, Gap) and event.kind == "book"]
    assert [book.sequence for book in books if book.state is FeedState.LIVE] == [1789895280797, 1789895280798, 1789895280799, 1789895280901]
    assert [gap.missed for gap in gaps] == [1]
    assert str(books[1].bids[1][1]) == "0.0010"
    assert books[-1].state is FeedState.LIVE


def test_each_connection_has_versions_of_its_own() -> None:
    """The book of a connection that takes over is used though its version is lower."""
    found, events = feeds(SWAP), list[Any]()
    other = FRAMES["book"].replace(b"1789895280797", b"1000").replace(b'"ts":1767225600119', b'"ts":1767225600219')
    change = FRAMES["book_change"].replace(b"1789895280798", b"1001").replace(b'"ts":1767225600119', b'"ts":1767225600319')
    for at, frame in enumerate((FRAMES["book"], FRAMES["book_change"], other, change), 7):
        for output in parser()(frame, at):
            events += found.apply(output)
    assert [event.sequence for event in events if isinstance(event, Book)] == [1789895280797, 1789895280798, 1000, 1001]


def test_an_empty_book_has_no_sides() -> None:
    """Their names are missing then. An event of another name breaks the book."""
    (book,) = parse(FRAMES["book_empty"])
    assert isinstance(book, BookSnapshot)
    assert (book.bids, book.asks, book.sequence) == ([], [], 5)
    (_, broken) = parse(FRAMES["book_change"].replace(b'"update"', b'"replace"'))
    assert type(broken).__name__ == "ConnectionBreak"


def test_books_are_asked_for_by_their_changes() -> None:
    """A subscription without its `data_type` would bring complete books between them; unsubscribing names it, too."""
    for depth, theirs in ((10, 20), (100, 150)):
        request = Request("depth", ("BTC-USDT",), 9, subscribed_depth(SWAP, depth))
        topic = f"market.BTC-USDT.depth.size_{theirs}.high_freq"
        assert msgspec.json.decode(swap.request("subscribe", request)) == {"sub": topic, "id": "9", "data_type": "incremental"}
        assert msgspec.json.decode(swap.request("unsubscribe", request)) == {"unsub": topic, "id": "9", "data_type": "incremental"}
    trades = msgspec.json.decode(swap.request("subscribe", Request("trade.detail", ("BTC-USDT",), 10, 10)))
    assert trades == {"sub": "market.BTC-USDT.trade.detail", "id": "10"}
    funding = msgspec.json.decode(frames.notification_request("unsubscribe", Request("funding_rate", ("BTC-USDT",), 11, 10)))
    assert funding == {"op": "unsub", "cid": "11", "topic": "public.BTC-USDT.funding_rate"}


def test_the_index_price_is_that_of_its_own_topic() -> None:
    """It is subscribed when the mark price is acknowledged; one of another second is left out. A dated contract's is its pair's."""
    reply, _ = parse(frames_of("htx_swap", "index")["ack"])
    assert reply == Reply(b'{"sub":"market.BTC-USDT.index.1min","id":"index BTC-USDT"}')
    one = parser()
    one(FRAMES["index"], 7)
    later = FRAMES["mark"].replace(b'"ts":1767225600123', b'"ts":1767225601123')
    for frame, index in (
        (FRAMES["mark"], D("91010.05")),
        (FRAMES["mark_dated"], D("91010.05")),
        (FRAMES["mark_alone"], None),
        (later, None),
    ):
        (mark,) = one(frame, 8)
        assert isinstance(mark, Mark)
        assert mark.index_price == index
    assert swap.pair_of("BTC-USDT-261225") == "BTC-USDT"
    turned = msgspec.json.decode(FRAMES["index"])
    assert parse(msgspec.json.encode({name: turned[name] for name in ("ts", "tick", "ch")}), FRAMES["mark"])[0] == one(FRAMES["mark"], 8)[0]


def test_past_trades_that_were_asked_for_are_nothing() -> None:
    """A recording may have such answers."""
    assert parse(b'{"id":"1","rep":"market.BTC-USDT.trade.detail","status":"ok","ts":1767225600123,"data":[]}') == []


def test_funding_has_the_next_payment_and_the_contracts_own_interval() -> None:
    """`settlement_time`, not `funding_time`; zero is written `0E-18`; others' rows are nobody's."""
    funding, zero = (output for output in parse(FRAMES["funding"], FRAMES["funding_of_all"]))
    assert isinstance(funding, Funding)
    assert isinstance(zero, Funding)
    assert (funding.next_ts, funding.interval_s) == (1_767_254_400 * S, 28_800)
    assert (zero.rate, zero.interval_s, zero.instrument) == (D("0E-18"), 14_400, "ETH-USDT-PERP")
    unread = parse(FRAMES["funding"].replace(b'"0.000064355479737646"', b"null"))
    assert [type(output).__name__ for output in unread] == ["Odd", "Unreadable"]
    (unknown,) = parse(FRAMES["funding"].replace(b'"1767254400000"', b"null"))
    assert isinstance(unknown, Funding)
    assert unknown.next_ts is None


def test_pings_have_two_dialects() -> None:
    """A number on the sockets of markets, a text in `ts` on that of notifications."""
    assert parser()(b'{"ping":1767225600000}', 7) == (Reply(b'{"pong":1767225600000}'),)
    assert parser()(b'{"op":"ping","ts":"1492420473058"}', 7) == (Reply(b'{"op":"pong","ts":"1492420473058"}'),)


def test_states_come_with_the_notifications() -> None:
    """Only `contract_status` 1 trades; a frame about others shows that the connection lives."""
    trades, halted = parse(FRAMES["states"])
    assert isinstance(trades, Status)
    assert isinstance(halted, Status)
    assert (trades.state, halted.state, halted.reason) == (FeedState.LIVE, FeedState.DOWN, "does not trade: suspended")
    assert parse(FRAMES["states"].replace(b"BTC-USDT", b"X-USDT").replace(b"ETH-USDT", b"Y-USDT")) == [Heartbeat()]
    assert SWAP.endpoints[2].greeting == (b'{"op":"sub","cid":"states","topic":"public.*.contract_info"}',)


def test_instruments_are_coins_with_their_contracts() -> None:
    """Dated ones by the day of their delivery; shares are left out without a word; zeros at the end of a step are."""
    found = swap_rest.parse_instruments(answers_of("htx_swap")["instruments"])
    named = {one.name: one for one in found if isinstance(one, Instrument)}
    assert list(named) == [NAME, "ETH-USDT-PERP", "BTC-USDT-20261225", "BTC-USD-PERP", "SUSPENDED-USDT-PERP", "NEW-USDT-PERP"]
    ether = named["ETH-USDT-PERP"]
    assert (str(ether.contract_size), str(ether.price_tick), ether.funding_s, ether.active) == ("0.01", "0.01", 14_400, False)
    assert (named["BTC-USDT-20261225"].expiry, named["BTC-USDT-20261225"].funding_s) == (1_798_185_600 * S, None)
    assert (named["BTC-USD-PERP"].inverse, named["NEW-USDT-PERP"].contract_size) == (True, D(1_000_000))
    odd = {one.symbol: one.kind for one in found if isinstance(one, OddRow)}
    assert odd == {"NEW-USDT": "instrument_status", "BADSIZE-USDT": "instrument_malformed"}
    assert [swap_rest.parts_of(code) for code in ("BTC211231", "BTC-USDT-211231", "BTC-USD")] == [
        ("BTC", "USD", True), ("BTC", "USDT", True), ("BTC", "USD", False),
    ]  # fmt: skip


def test_a_complete_book_of_a_recording_is_sized_too() -> None:
    """`depth.step0`: its version is the second, so that its time links it."""
    later = FRAMES["book_complete"].replace(b'"ts":1767225600123', b'"ts":1767225600223').replace(b"[3000,5]", b"[3000,7]")
    made, changed = parse(FRAMES["book_complete"], later)
    assert isinstance(made, BookSnapshot)
    assert isinstance(changed, BookUpdate)
    assert (made.bids, changed.bids, changed.previous) == ([(D(3000), D("0.05"))], [(D(3000), D("0.07"))], made.sequence)


@pytest.mark.parametrize("text", ["sNaN", "1E+999999"])
def test_an_impossible_number_of_both_sides_is_a_bad_frame(text: str) -> None:
    """Neither the look at it nor its half ends the session."""
    both = BothSides()
    with pytest.raises(NotANumber):
        both.look(Decimal(text), "a volume")
    with pytest.raises(NotANumber):
        BothSides().one(Decimal("sNaN"))
