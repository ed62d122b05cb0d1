"""Bitfinex, WebSocket v2: the connection's numbers, subscriptions and messages, names, and REST."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

import msgspec
import pytest

from crosstape_connector.errors import UnknownFrame, UnknownSymbol
from crosstape_connector.venues.bitfinex import VENUE, assets, requests, rest, stream
from crosstape_connector.venues.messages import (
    Ack,
    BookSnapshot,
    BookUpdate,
    ConnectionBreak,
    Heartbeat,
    Odd,
    OddRow,
    Output,
    Rejected,
    Rotate,
)
from crosstape_connector.venues.spec import Request
from crosstape_schemas import FeedState, Gap, GapCause, Instrument, Status, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of
from tests.connector.venues.test_contract import feeds

FRAMES: Final = frames_of("bitfinex")
CONF: Final = FRAMES["conf"]
MOMENT: Final = 1_767_225_600_001_000_000
BOOK, PERPETUAL = FRAMES["ack_book"], FRAMES["ack_perpetual_book"]


def parse(*frames: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7, without acknowledgements and signs of life."""
    parser = stream.Parser(symbols_of("bitfinex"))
    found = [output for frame in frames for output in parser(frame, 7)]
    return [output for output in found if not isinstance(output, Ack | Heartbeat)]


def answers(*frames: bytes) -> list[Output]:
    """The answers among them."""
    parser = stream.Parser(symbols_of("bitfinex"))
    return [output for frame in frames for output in parser(frame, 7) if isinstance(output, Ack | Rejected)]


def breaks(*frames: bytes) -> list[tuple[int | None, tuple[str, ...]]]:
    """(missed, instruments) of the breaks."""
    return [(output.missed, output.instruments) for output in parse(*frames) if isinstance(output, ConnectionBreak)]


def test_a_jump_of_the_numbers_breaks_every_book_once() -> None:
    """Heartbeats and checksums count, and frames of any channel show the jump; after it the numbers go on from there."""
    frames = (CONF, BOOK, b"[102,[[1,1,1]],1,1767225600001]", PERPETUAL, b"[104,[],2,1767225600001]")

    assert breaks(*frames, b'[102,"hb",3,1767225600001]', b"[102,[1,2,1],4,1767225600001]") == []
    assert breaks(*frames, b'[102,"hb",5,1767225600001]', b"[102,[1,2,1],6,1767225600001]") == [(2, ("BTC-USD", "BTC-USDT-PERP"))]
    assert breaks(*frames, b'[102,"cs",7,3,1767225600001]', b'[104,"cs",0,5,1767225600001]') == [(1, ("BTC-USD", "BTC-USDT-PERP"))]


def test_a_lost_frame_may_have_held_trades() -> None:
    """Ids do not show it, so the connection's numbers do: a gap of the trades that are live, as well as of the books."""
    parser, tape = stream.Parser(symbols_of("bitfinex")), feeds(VENUE)
    frames = (CONF, FRAMES["ack_trades"], b'[101,"te",[5,1767225600000,1,1],1]', b'[101,"te",[9,1767225600001,1,1],2]')
    found = [
        event
        for now, frame in enumerate((*frames, b'[101,"te",[12,1767225600002,1,1],4]'), 10)
        for output in parser(frame, now)
        for event in tape.apply(output)
        if isinstance(event, Gap | Trade)
    ]

    assert [event.trade_id if isinstance(event, Trade) else event.cause for event in found] == ["5", "9", GapCause.SEQUENCE, "12"]
    (gap,) = [event for event in found if isinstance(event, Gap)]
    assert (gap.kind, gap.instrument, gap.from_ts, gap.to_ts, gap.missed) == ("trade", "BTC-USD", 13, 14, None)


def test_the_first_number_is_one() -> None:
    """Whether the flags were acknowledged or that was lost as well."""
    assert breaks(CONF, BOOK, b"[102,[[1,1,1]],2,1767225600001]") == [(1, ("BTC-USD",))]
    assert breaks(BOOK, b"[102,[[1,1,1]],2,1767225600001]") == [(1, ("BTC-USD",))]
    assert breaks(BOOK, b"[102,[[1,1,1]],1,1767225600001]") == []


def test_a_frame_that_came_twice_changes_no_book() -> None:
    """Its number is old: the books are suspect, and what it says is older than they are."""
    frames = (CONF, BOOK, b"[102,[[1,1,1]],1,1767225600001]", b"[102,[1,1,2],2,1767225600001]")

    outputs = parse(*frames, frames[-1])
    assert [type(output) for output in outputs] == [BookSnapshot, BookUpdate, ConnectionBreak]
    assert isinstance(outputs[-1], ConnectionBreak)
    assert outputs[-1].missed is None


def test_changes_are_no_snapshot_if_the_snapshot_may_be_lost() -> None:
    """Both are lists of levels: only their order tells. A jump before the first makes it a change, which nothing proves."""
    outputs = parse(CONF, BOOK, b"[102,[[1,1,1],[2,1,-1]],2,1767225600001]")

    assert [type(output) for output in outputs] == [ConnectionBreak, BookUpdate]


def test_a_break_that_a_bad_frame_shows_is_reported_with_the_next_good_one() -> None:
    """It is not forgotten."""
    parser = stream.Parser(symbols_of("bitfinex"))
    for frame in (CONF, FRAMES["ack_trades"], BOOK, b"[102,[[1,1,1]],1,1767225600001]"):
        parser(frame, 7)
    with pytest.raises(UnknownSymbol):
        parser(b"[999,[1,1,1],3,1767225600001]", 7)

    assert [type(output) for output in parser(b'[101,"hb",4,1767225600001]', 7)] == [ConnectionBreak, Heartbeat]


@pytest.mark.parametrize(("tail", "venue_ts"), [(b"", None), (b",1", None), (b",1767225600001", MOMENT), (b",1,1767225600001", MOMENT)])
def test_any_flags_are_read(tail: bytes, venue_ts: int | None) -> None:
    """None, numbers, times, or both: the shape of a frame shows it."""
    outputs = parse(
        BOOK, b"[102,[[1,1,1]]%s]" % tail, FRAMES["ack_trades"], b'[101,"te",[1,1767225600000,1,1]%s]' % re.sub(rb"^,1\b", b",2", tail)
    )

    assert [output.venue_ts for output in outputs if isinstance(output, BookSnapshot)] == [venue_ts]
    assert len([output for output in outputs if isinstance(output, Trade)]) == 1


def test_numbers_of_channels_belong_to_one_connection() -> None:
    """And to one subscription: data after an unsubscribe are left out, others of no channel are of an unknown symbol."""
    parser = stream.Parser(symbols_of("bitfinex"))
    parser(BOOK, 7)
    parser(b'{"event":"unsubscribed","status":"OK","chanId":102}', 7)
    assert parser(b"[102,[1,1,1]]", 7) == ()
    with pytest.raises(UnknownSymbol):
        parser(b"[999,[1,1,1]]", 7)

    parser(BOOK.replace(b"102", b"103"), 7)
    (again,) = parser(b"[103,[[1,1,1]]]", 7)
    assert isinstance(again, BookSnapshot)
    with pytest.raises(UnknownSymbol):
        stream.Parser(symbols_of("bitfinex"))(b"[103,[1,1,1]]", 7)


def test_an_answer_finds_its_request() -> None:
    """By the id that we gave it; an acknowledgement brings the number that an unsubscribe needs."""
    assert answers(BOOK) == [Ack(12, "book", ("tBTCUSD",), handle="102")]
    assert answers(FRAMES["ack_liquidations"]) == [Ack(19, "liq:global", (), handle="109")]
    assert answers(FRAMES["ack_day"]) == [Ack(17, "trade:1D", ("tBTCF0:USTF0",), handle="107")]
    assert answers(FRAMES["refused"]) == [Rejected("10300 symbol: invalid", 22, "book", ("tNOPE:USD",))]
    assert answers(FRAMES["full"]) == [Rejected("10305 subscribe: limit", 24, "trade:1m", ("tETHUSD",), full=True)]
    assert answers(BOOK, b'{"event":"unsubscribed","status":"OK","chanId":102}')[1:] == [
        Ack(None, "book", ("tBTCUSD",), unsubscribed=True, handle="102")
    ]
    assert answers(FRAMES["not_subscribed"]) == [Ack(unsubscribed=True, handle="104")]


def test_a_subscription_that_exists_is_acknowledged() -> None:
    """The refusal has its number, so that its data are known even if the acknowledgement was lost."""
    refusal = FRAMES["duplicate"].replace(b"ticker", b"book").replace(b"ETH", b"BTC")
    assert answers(refusal) == [Ack(23, "book", ("tBTCUSD",), handle="112")]

    parser = stream.Parser(symbols_of("bitfinex"))
    with pytest.raises(UnknownSymbol):
        parser(b"[112,[[1,1,1]]]", 7)  # the snapshot, whose book is not known yet
    parser(refusal, 7)
    (change,) = parser(b"[112,[[1,0,1],[2,1,1]]]", 7)
    assert isinstance(change, BookUpdate)


def test_requests_are_those_of_the_documents() -> None:
    """A key or a symbol; the depth of a book; the number of what is unsubscribed."""

    def subscribed(channel: str, symbol: str) -> dict[str, object]:
        return dict(msgspec.json.decode(requests.request("subscribe", Request(channel, (symbol,), 5, 100))))

    common = {"event": "subscribe", "subId": "5"}
    assert subscribed("trades", "tBTCUSD") == {**common, "channel": "trades", "symbol": "tBTCUSD"}
    assert subscribed("book", "tBTCUSD") == {**common, "channel": "book", "symbol": "tBTCUSD", "prec": "P0", "freq": "F0", "len": "100"}
    assert subscribed("trade:1D", "tBTCUSD") == {**common, "channel": "candles", "key": "trade:1D:tBTCUSD"}
    assert subscribed("deriv", "tBTCF0:USTF0") == {**common, "channel": "status", "key": "deriv:tBTCF0:USTF0"}
    assert subscribed("liq:global", "tBTCUSD") == {**common, "channel": "status", "key": "liq:global"}
    assert msgspec.json.decode(requests.request("unsubscribe", Request("book", ("tBTCUSD",), 6, 25, ("102",)))) == {
        "event": "unsubscribe",
        "chanId": 102,
    }
    assert msgspec.json.decode(requests.ping(9)) == {"event": "ping", "cid": 9}
    assert msgspec.json.decode(requests.GREETING) == {"event": "conf", "flags": 32_768 + 65_536 + 131_072 + 536_870_912}


def test_maintenance_is_a_state_of_the_venue() -> None:
    """Down while it lasts; after it a new connection subscribes everything. A server that stops is left at once."""
    begins = parse(FRAMES["maintenance"])
    ends = parse(FRAMES["maintenance_over"])

    assert [(one.state, one.reason) for one in begins if isinstance(one, Status)] == [(FeedState.DOWN, "maintenance")]
    assert [type(one) for one in ends] == [Status, Rotate]
    assert [one.state for one in ends if isinstance(one, Status)] == [FeedState.LIVE]
    assert [type(one) for one in parse(FRAMES["stopping"])] == [Rotate]
    assert [one.state for one in parse(FRAMES["info_closed"]) if isinstance(one, Status)] == [FeedState.DOWN]
    assert [type(one) for one in parse(b'{"event":"info","code":29999,"msg":"news"}')] == [Odd]


def test_another_version_of_the_protocol_is_not_read() -> None:
    """Its data could mean something else."""
    parser = stream.Parser(symbols_of("bitfinex"))
    with pytest.raises(UnknownFrame, match="version 3"):
        parser(FRAMES["info"].replace(b'"version":2', b'"version":3'), 7)
    parser(BOOK, 7)
    with pytest.raises(UnknownFrame, match="version 3"):
        parser(b"[102,[[1,1,1]]]", 7)


def test_flags_that_are_refused_are_odd() -> None:
    """The connection goes on without numbers."""
    assert [type(one) for one in parse(b'{"event":"conf","status":"FAILED","flags":1,"msg":"flags: invalid"}')] == [Odd]


@pytest.mark.parametrize(
    ("pair", "found"),
    [
        ("BTCUSD", ("BTC", "USD")),
        ("DOGE:USD", ("DOGE", "USD")),
        ("BTCF0:USTF0", ("BTCF0", "USTF0")),
        ("TESTBTC:TESTUSD", ("TESTBTC", "TESTUSD")),
    ],
)
def test_a_pair_is_split(pair: str, found: tuple[str, str]) -> None:
    """Three letters each without a colon."""
    assert assets.split(pair) == found


@pytest.mark.parametrize(
    ("name", "usual"),
    [("UST", "USDT"), ("USTF0", "USDT"), ("BTCF0", "BTC"), ("IOT", "IOTA"), ("LUNA", "LUNC"), ("TERRAUST", "USTC"), ("BTC", "BTC")],
)
def test_assets_have_our_names(name: str, usual: str) -> None:
    """`UST` is Tether here. Our own table goes before the venue's."""
    assert assets.ours(name, {"LUNA": "LUNA", "NEW": "NEWER"}) == usual
    assert assets.ours("NEW", {"NEW": "NEWER"}) == "NEWER"


def test_no_two_assets_have_one_name() -> None:
    """Nor is one mapped to a name that another asset keeps."""
    assert len(set(assets.ASSETS.values())) == len(assets.ASSETS)
    assert all(assets.ASSETS.get(name, "moved") != name for name in assets.ASSETS.values())


def test_spot_and_perpetuals_have_different_names() -> None:
    """One venue lists both. There is no tick: prices have five significant digits."""
    found = {one.symbol: one for one in rest.parse_instruments(answers_of("bitfinex")["instruments"]) if isinstance(one, Instrument)}

    assert {symbol: one.name for symbol, one in found.items()} == {
        "tBTCUSD": "BTC-USD", "tBTCUST": "BTC-USDT", "tDOGE:USD": "DOGE-USD", "tETHUSD": "ETH-USD", "tIOTUSD": "IOTA-USD",
        "tLUNA2:UST": "LUNA-USDT", "tXRPBTC": "XRP-BTC", "tBTCF0:USTF0": "BTC-USDT-PERP", "tETHF0:USTF0": "ETH-USDT-PERP",
    }  # fmt: skip
    assert {(one.price_tick, one.size_step, one.contract_size) for one in found.values()} == {(None, Decimal("1e-8"), Decimal(1))}


@pytest.mark.parametrize("odd", [b"null", b'"BTC"', b'""', b'":"', b'["BTCUSD"]', b'"BTCF0:USD"', b'"B C:USD"', b"\xff"])
def test_an_odd_pair_takes_no_other_with_it(odd: bytes) -> None:
    """Nor an odd row of the venue's table of names."""
    rows = rest.parse_instruments(b'[[%s,"ETHUSD"],["ETHF0:USTF0"],[["UST"],["UST","USDt"]]]' % odd)

    assert [one.name for one in rows if isinstance(one, Instrument)] == ["ETH-USD", "ETH-USDT-PERP"]
    assert len([one for one in rows if isinstance(one, OddRow)]) == 1


def test_a_list_of_an_older_client_is_read() -> None:
    """One list alone, without the table of names."""
    assert [one.name for one in rest.parse_instruments(b'[["BTCUST","ALGF0:USTF0"]]') if isinstance(one, Instrument)] == [
        "BTC-USDT",
        "ALGO-USDT-PERP",
    ]
    assert VENUE.instruments.match("https://api-pub.bitfinex.com/v2/conf/pub:list:pair:exchange")
    assert not VENUE.instruments.match("https://api-pub.bitfinex.com/v2/conf/pub:list:currency")


def test_errors_of_rest_are_found() -> None:
    """They come as a list, with HTTP 500, or as an object."""
    assert rest.rest_error(b'["error",10020,"limit: invalid"]') == "10020 limit: invalid"
    assert rest.rest_error(b'{"error":"ERR_RATE_LIMIT"}') == "ERR_RATE_LIMIT"
    assert rest.rest_error(b'{"code":503,"error":"temporarily_unavailable","error_description":"sorry"}') == "temporarily_unavailable sorry"
    for name in ("instruments", "trades", "quotes", "candles", "trading"):
        assert rest.rest_error(answers_of("bitfinex")[name]) is None


def test_candles_are_asked_for_from_a_time_on() -> None:
    """By the venue's name of the timeframe."""
    assert rest.candles_path("tBTCF0:USTF0", "1d", 1_767_225_600_000_000_001) == (
        "/v2/candles/trade:1D:tBTCF0:USTF0/hist?limit=2500&start=1767225600000&sort=1"
    )
