"""Bars, consolidated books and edges for the eye, and how they are followed on the tape."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from decimal import Decimal

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from crosstape.bus import connect
from crosstape.errors import SettingsError
from crosstape.runtime.exit_codes import Exit
from crosstape_cli import watch_feeds
from crosstape_cli.follow_feeds import Feed, Feeds
from crosstape_cli.view_computed import BAR_HEADINGS, DEPTH_HEADINGS, EDGE_HEADINGS, bars, book_title, depth, edges
from crosstape_cli.view_feeds import lines
from crosstape_cli.watch import chosen_view
from crosstape_schemas import CONSOLIDATED, Bar, Depth, DepthLeg, Edge, EdgeChange, Event, Exclusion, FeedState, Keys, Sweep, feed_kind
from tests.bus.tape import fast, publishing
from tests.cli.running import line, started, stopped
from tests.cli.test_view_feeds import texts
from tests.waiting import wait_until

KEYS = Keys()
D = Decimal
S = 1_000_000_000
OPENED = 29_776_444 * 60 * S
NOW = OPENED + 12 * S
X = "BTC-USDT"

BAR = Bar(
    CONSOLIDATED, X, None, NOW - S // 4, "1m", OPENED, OPENED + 60 * S, D("62990.00"), D(63010), D(62980), D("63000.10"),
    D("12.3456789"), D(777_000), 77, None, epoch=1, seq=1,
)  # fmt: skip
BOOK = Depth(
    CONSOLIDATED, X, None, NOW, NOW - S // 2,
    bids=((D("63000.10"), D("1.5"), (("binance", D(1)), ("kraken", D("0.5")))), (D(63_000), D(2), (("kraken", D(2)),))),
    asks=((D("63000.20"), D("0.25"), (("kraken", D("0.25")),)),),
    levels=10, sweeps=(Sweep(D(1), None, None, D("63000.1"), D("63000.10")),),
    legs=(
        DepthLeg("binance", NOW, FeedState.LIVE, None, 1, 1), DepthLeg("coinbase", None, FeedState.DOWN, Exclusion.STATE, 1, 1),
        DepthLeg("kraken", NOW, FeedState.LIVE, None, 1, 1), DepthLeg("kucoin", NOW, FeedState.LIVE, Exclusion.OUTLIER, 1, 1),
    ),
    epoch=1, seq=1,
)  # fmt: skip
EDGE = Edge(
    CONSOLIDATED, X, None, NOW, NOW - S // 2, EdgeChange.OPEN, "binance", "kraken", D("63000.10"), D("63200.5"), D("0.123456789"),
    D("31.8095"), D("11.7"), D(10), D(10), NOW - 5 * S, None, None, epoch=7, seq=1,
)  # fmt: skip
CLOSED = replace(
    EDGE, change=EdgeChange.CLOSE, sell_venue="coinbase", bid_price=None, size=None, net_bps=None, gross_bps=None, reason="stale"
)


def latest(*events: Event) -> dict[Feed, Event]:
    """Return events by feeds."""
    return {Feed(one.instrument, one.venue, feed_kind(one)): one for one in events}


def pairs(*found: Edge) -> dict[Feed, Event]:
    """Return edges by their venues."""
    return {Feed(one.instrument, f"{one.buy_venue}/{one.sell_venue}", "edge"): one for one in found}


def test_a_row_for_the_bar_of_each_venue_and_of_all() -> None:
    """Whether it is closed, whether it lacks trades, which revision it is; of a dead aggregator it is not the present one."""
    found = latest(
        BAR, replace(BAR, venue="binance", closed=True, complete=True, revision=2), replace(BAR, venue="kraken", closed=True, open=None)
    )  # fmt: skip

    assert texts(BAR_HEADINGS, bars(found, {Feed(X, "kraken", "bar:1m")}, now=NOW))[1:] == [
        "BTC-USDT binance 02:04 62990 63010 62980 63000.1 12.346 77 0.25 s closed, revision 2",
        "BTC-USDT consolidated 02:04 62990 63010 62980 63000.1 12.346 77 0.25 s open",
        "BTC-USDT kraken 02:04 – 63010 62980 63000.1 12.346 77 0.25 s no aggregator",
    ]
    (closed,) = bars(latest(replace(BAR, closed=True)), (), now=NOW)
    assert closed.cells[-1] == "closed, incomplete"


def test_a_book_shows_who_holds_each_level_and_what_each_size_costs() -> None:
    """Both sides beside one another; a size that no book fills says so; the title says which venues do not count, and why."""
    assert texts(DEPTH_HEADINGS, depth(latest(BOOK), (), now=NOW))[1:] == [
        "binance 1, kraken 0.5 1.5 63000.1 63000.2 0.25 kraken 0.25",
        "kraken 2 2 63000 – –",
        "sweep, worst 63000.1 1 63000.1 – 1 sweep, the books do not hold it",
    ]
    assert list(lines(DEPTH_HEADINGS, depth(latest(BOOK), (), now=NOW)))[1:] == [
        "level 2  bid 63000 (kraken 2)  ask –",
        "sweep 1  sell average 63000.1  worst 63000.1  buy the books do not hold it",
    ]
    assert book_title(latest(BOOK), now=NOW) == "2 of 4 venues, 0.50 s old; not coinbase (down), kucoin (outlier)"


def test_a_composites_book_has_legs_and_prices_for_the_eye() -> None:
    """Eight digits of converted prices, and the part of each leg that does not count: a venue has a leg in each part."""
    legs = tuple(replace(leg, instrument="BTC-USDT") for leg in BOOK.legs)
    book = replace(BOOK, instrument="BTC-USD*", bids=((D("63000.123456789"), D(1), (("kraken", D(1)),)),), asks=(), sweeps=(), legs=legs)

    (row,) = depth(latest(book), (), now=NOW)
    assert row.cells == ["kraken 1", "1", "63000.123", "–", "–", ""]
    assert book_title(latest(book), now=NOW) == "2 of 4 legs, 0.50 s old; not coinbase BTC-USDT (down), kucoin BTC-USDT (outlier)"


def test_edges_are_the_best_first_and_closed_ones_for_a_minute() -> None:
    """Net of fees. With the reason why one has closed."""
    better = replace(EDGE, buy_venue="bitfinex", net_bps=D(12))
    found = pairs(EDGE, better, CLOSED, replace(CLOSED, buy_venue="kucoin", ts=NOW - 61 * S))

    assert texts(EDGE_HEADINGS, edges(found, {Feed(X, "binance/kraken", "edge")}, now=NOW))[1:] == [
        "BTC-USDT bitfinex 63000.1 kraken 63200.5 0.12346 31.81 12.00 5.00 s 0.50 s open",
        "BTC-USDT binance 63000.1 kraken 63200.5 0.12346 31.81 11.70 5.00 s 0.50 s no aggregator",
        "BTC-USDT binance 63000.1 coinbase – – – – 4.50 s 0.50 s closed: stale",
    ]


def test_titles_say_what_to_set_where_there_is_nothing() -> None:
    """And of a dead aggregator, that nothing of it is present."""
    nothing: dict[Feed, Event] = {}
    none: Collection[Feed] = ()
    assert watch_feeds.bars("5m", ()).title(nothing, none, "here") == (
        '0 feeds of bar:5m on here; bars are built if aggregator.bars names "5m"'
    )
    assert "published if aggregator.depth_levels is set, as to 10" in watch_feeds.depth(X).title(nothing, none, "here")
    composite = watch_feeds.depth("ETH-USD*").title(nothing, none, "here")
    assert composite.startswith(
        "no book of ETH-USD* on here; consolidated books are published if aggregator.composites names ETH-USD*, aggre"
    )
    assert "whose fees aggregator.taker_fees_bps names, two at least" in watch_feeds.edges(()).title(nothing, none, "here")
    assert watch_feeds.edges(()).title(pairs(EDGE, CLOSED), none, "here") == "1 edge is open on here"
    assert watch_feeds.edges(()).title(pairs(EDGE), set(pairs(EDGE)), "here") == "0 edges are open on here"
    assert watch_feeds.depth(X).title(latest(BOOK), set(latest(BOOK)), "here").endswith("; its aggregator gives no sign of life")


async def test_edges_are_followed_by_their_venues(client: Redis, valkey: str) -> None:
    """Also those that were there before; those of an earlier start of the aggregator end with the first of the next."""
    async with publishing(fast(valkey)) as publisher:
        publisher.publish_all([replace(EDGE), replace(CLOSED)])
        assert await publisher.drain(5)
    async with connect(fast(valkey)) as reading:
        feeds = Feeds(reading, KEYS, ["edge"], start=watch_feeds.edges(()).start)
        task = asyncio.create_task(feeds.run())
        await wait_until(lambda: len(feeds.latest) == 2, what="both edges")
        async with publishing(fast(valkey)) as successor:
            successor.publish(replace(EDGE, buy_venue="kucoin"))
            await wait_until(lambda: [one.venue for one in feeds.latest] == ["kucoin/kraken"], what="the edge of the next start")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_watch_shows_books_and_edges(client: Redis, valkey: str) -> None:
    """As lines, where there is no terminal."""
    now = time.time_ns()
    async with publishing(fast(valkey)) as publisher:
        publisher.publish_all([replace(BOOK), replace(EDGE, ts=now, opened_ts=now)])
        assert await publisher.drain(5)
    for options, title, expected in (
        (("--depth", X), f"{X} on ", "level 1  bid 63000.1 (binance 1, kraken 0.5)  ask 63000.2 (kraken 0.25)"),
        (("--depth", X.replace("-", "/").lower()), f"{X} on ", "level 1"),
        (("--depth", X[:-1]), f"no book of {X[:-1]} on ", ""),
        (("--edges",), "0 edges are open on", f"{X}  buy at binance  ask 63000.1  sell at kraken"),
    ):
        async with started("watch", *options, variables={"CROSSTAPE_BUS__URL": valkey}) as process:
            assert (await line(process)).startswith(title)
            assert (await line(process)).startswith(expected)
            assert (await stopped(process)).code == Exit.OK


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"bars": "1m", "edges": True}, "--bars and --edges: one of them"),
        ({"bars": "1m,5m"}, "--bars 1m,5m: one timeframe, as 1m"),
        ({"bars": "1min"}, "--bars 1min: did you mean 1m?"),
        ({"depth": X, "instruments": ("ETH-USDT",)}, f"--depth {X}: the book of one instrument"),
    ],
)
def test_a_wrong_wish_is_refused(wishes: dict[str, object], said: str) -> None:
    """With the option."""
    none = {"instruments": (), "bars": None, "depth": None, "edges": False, "candles": None, "derivatives": False}
    with pytest.raises(SettingsError) as caught:
        chosen_view(**{**none, **wishes})  # type: ignore[arg-type]
    assert said in str(caught.value)
