"""Candles and derivatives for the eye, and how they are followed on the tape."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from rich.console import Console

from crosstape.bus import connect
from crosstape.runtime.exit_codes import Exit
from crosstape_cli.follow_feeds import Feed, Feeds
from crosstape_cli.view_feeds import CANDLE_HEADINGS, DERIVATIVE_HEADINGS, Row, candles, derivatives, lines, opened, table
from crosstape_schemas import VENUE_WIDE, Candle, Event, FeedState, Funding, Keys, Liquidation, Mark, OpenInterest, Side, Status, feed_kind
from tests.bus.tape import fast, publishing
from tests.cli.running import crosstape, line, started, stopped
from tests.waiting import wait_until

KEYS = Keys()
S = 1_000_000_000
MINUTE = 29_776_444
"""Of the open candle: 2026-08-13 02:04 UTC."""
NOW = (MINUTE * 60 + 12) * S
PERPETUAL = "BTC-USDT-PERP"
CANDLES = Feed("BTC-USDT", "binance", "candle:1m")


def candle(minute: int = MINUTE, close: str = "63000.10", *, closed: bool = False, venue: str = "binance", revision: int = 0) -> Candle:
    """Returns a candle of a minute."""
    start = minute * 60 * S
    return Candle(
        venue, "BTC-USDT", None, NOW - S // 4, "1m", start, start + 60 * S, Decimal("62990.00"), Decimal(63010), Decimal(62980),
        Decimal(close), Decimal("12.3456789"), trades=77, closed=closed, revision=revision,
    )  # fmt: skip


def latest(*events: Event) -> dict[Feed, Event]:
    """Returns events by their feeds."""
    return {Feed(event.instrument, event.venue, feed_kind(event)): event for event in events}


DERIVED = latest(
    Mark("binance_usdm", PERPETUAL, None, NOW - 2 * S, Decimal("63000.50"), Decimal("62999.123")),
    Funding("binance_usdm", PERPETUAL, None, NOW - S, Decimal("0.00012500"), 28_800, NOW + 3_600 * 5 * S),
    OpenInterest("binance_usdm", PERPETUAL, None, NOW - 9 * S, Decimal("81234.567")),
    Liquidation("binance_usdm", PERPETUAL, None, NOW - 30 * S, Side.SELL, Decimal(62_950), Decimal("0.25")),
    OpenInterest("bingx_swap", PERPETUAL, None, NOW - 9 * S, None, Decimal("5123456789.4")),
)


def texts(headings: Sequence[str], rows: list[Row], fits: int = 20) -> list[str]:
    """Returns title and rows of the table as text, without the headings."""
    title, _, *shown = drawn(headings, rows, fits=fits)
    return [title, *shown]


def drawn(headings: Sequence[str], rows: list[Row], *, fits: int = 20, columns: int = 160) -> list[str]:
    """Returns title, headings and rows of the table as text, with one blank between columns."""
    console = Console(file=io.StringIO(), width=columns, force_terminal=False)
    console.print(table(headings, rows, fits=fits, columns=columns, title="the title"))
    assert isinstance(console.file, io.StringIO)
    return [" ".join(text.split()) for text in console.file.getvalue().splitlines()]


def test_a_row_for_each_venues_candle() -> None:
    """Prices in full, and whether it is closed; of a dead connector it is not the present one."""
    found = latest(candle(closed=True, venue="kraken", revision=1), candle())

    assert texts(CANDLE_HEADINGS, candles(found, {CANDLES}, now=NOW)) == [
        "the title",
        "BTC-USDT binance 02:04 62990 63010 62980 63000.1 12.346 77 0.25 s no connector",
        "BTC-USDT kraken 02:04 62990 63010 62980 63000.1 12.346 77 0.25 s closed, corrected",
    ]


def test_one_row_has_all_that_a_venue_says_of_a_derivative() -> None:
    """The funding rate in percent; what the venue does not say is a dash."""
    assert texts(DERIVATIVE_HEADINGS, derivatives(DERIVED, (), now=NOW)) == [
        "the title",
        f"{PERPETUAL} binance_usdm 63000.5 62999.123 0.0125 % 5 h 81235 sell 0.25 at 62950, 30 s ago 1.00 s",
        f"{PERPETUAL} bingx_swap – – – – 5123456789 USDT – 9.00 s",
    ]


def test_a_small_window_says_that_it_shows_not_all() -> None:
    """The first rows are shown."""
    title, *rows = texts(DERIVATIVE_HEADINGS, derivatives(DERIVED, (), now=NOW), fits=1)

    assert title == "the title; a taller window shows all 2 rows"
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("columns", "headings", "first"),
    [
        (120, "venue mark index funding next in open interest age", "binance_usdm 63000.5 62999.123 0.0125 % 5 h 81235 1.00 s"),
        (80, "venue mark funding open interest age", "binance_usdm 63000.5 0.0125 % 81235 1.00 s"),
        (60, "venue mark funding", "binance_usdm 63000.5 0.0125 %"),
    ],
)
def test_a_narrow_window_has_whole_numbers(columns: int, headings: str, first: str) -> None:
    """A column for which there is no room is left out, the last liquidation first; the title says so."""
    title, shown, *rows = drawn(DERIVATIVE_HEADINGS, derivatives(DERIVED, (), now=NOW), columns=columns)

    assert title == "the title; a wider window shows all columns"
    assert (shown, rows[0]) == (headings, f"{PERPETUAL} {first}")
    assert len(rows) == 2


@pytest.mark.parametrize("columns", [60, 70, 80, 90, 100, 110, 120, 130])
@pytest.mark.parametrize("dead", [True, False])
def test_nothing_is_cut_at_any_width(columns: int, *, dead: bool) -> None:
    """Each cell that is shown is whole, and each row is one line."""
    derived = latest(*(replace(event, venue="kucoin_futures") for event in DERIVED.values() if event.venue == "binance_usdm"))
    closed = latest(candle(venue="kucoin_futures", closed=True))
    for headings, (row,) in (
        (DERIVATIVE_HEADINGS, derivatives(derived, derived if dead else (), now=NOW)),
        (CANDLE_HEADINGS, candles(closed, closed if dead else (), now=NOW)),
    ):
        shown = drawn(headings, [row], columns=columns)[-1].split()
        assert shown[1] == "kucoin_futures"
        assert len(shown) >= 3
        assert set(shown) <= set(" ".join(row.cells).split())


def test_lines_name_what_they_show() -> None:
    """The form for logs and pipes."""
    (text,) = lines(CANDLE_HEADINGS, candles(latest(candle()), (), now=NOW))

    assert text == (
        "BTC-USDT  binance  opened 02:04  open 62990  high 63010  low 62980  close 63000.1  volume 12.346  trades 77  age 0.25 s  open"
    )


@pytest.mark.parametrize(("timeframe", "seconds", "text"), [("1s", 1, "02:04:00"), ("1h", 3_600, "02:04"), ("1d", 86_400, "2026-08-13")])
def test_a_candle_is_named_by_its_opening(timeframe: str, seconds: int, text: str) -> None:
    """To the second, to the minute, or by its day."""
    one = candle()
    assert opened(replace(one, timeframe=timeframe, close_ts=one.open_ts + seconds * S)) == text


async def test_feeds_are_found_and_followed(client: Redis, valkey: str) -> None:
    """Those of the kinds and instruments that are wanted. A correction of an earlier candle is not the newest."""
    async with publishing(fast(valkey)) as publisher, connect(fast(valkey)) as reading:
        publisher.publish_all([candle(), Mark("binance", PERPETUAL, None, 1, Decimal(1))])
        assert await publisher.drain(5)
        feeds = Feeds(reading, KEYS, ["candle:1m", "mark"], ["BTC-USDT"])
        task = asyncio.create_task(feeds.run())
        await wait_until(lambda: feeds.latest, what="the last value")
        assert feeds.dead() == set(feeds.latest) == {CANDLES}
        publisher.publish_all([candle(MINUTE - 1, "5", closed=True, revision=1), candle(close="63001")])

        def closes() -> list[Decimal]:
            return [event.close for event in feeds.latest.values() if isinstance(event, Candle)]

        await wait_until(lambda: closes() == [Decimal(63_001)], what="the newest candle")

        def live() -> bool:
            publisher.publish(Status("binance", VENUE_WIDE, None, time.time_ns(), VENUE_WIDE, FeedState.LIVE))
            return not feeds.dead()

        await wait_until(live, what="a sign of life of its connector")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_watch_shows_candles_and_derivatives(client: Redis, valkey: str) -> None:
    """As lines, where there is no terminal; the first lines have what was on the tape."""
    async with publishing(fast(valkey)) as publisher:
        publisher.publish_all([candle(), *(replace(event, venue="binance") for event in DERIVED.values() if event.venue != "bingx_swap")])
        assert await publisher.drain(5)
    for options, title, expected in (
        (("--candles", "1m"), "1 feed of candle:1m on", "BTC-USDT  binance  opened 02:04  open 62990  high 63010"),
        (("--derivatives",), "4 feeds of mark, funding, open_interest, liquidation on", f"{PERPETUAL}  binance  mark 63000.5  index"),
        (("BTC-USDT", "--derivatives"), "0 feeds of", ""),
        (("BTC-USDT", "--candles", "5m"), "0 feeds of candle:5m on", ""),
    ):
        async with started("watch", *options, variables={"CROSSTAPE_BUS__URL": valkey}) as process:
            first = await line(process)
            assert first.startswith(title)
            assert ('where venues.VENUE.candles names "5m"' in first) == ("5m" in options)
            assert first.endswith("; not on the tape: BTC-USDT") or (await line(process)).startswith(expected)
            assert (await stopped(process)).code == Exit.OK


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--candles", "1min"], "--candles 1min: did you mean 1m?"), (["--candles", "1m", "--derivatives"], "one of them")],
)
async def test_a_wrong_wish_is_refused(options: list[str], said: str) -> None:
    """Before anything is connected."""
    done = await crosstape("watch", *options)
    assert (done.code, said in done.err) == (Exit.USAGE, True)
