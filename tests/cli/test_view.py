"""Quotes for the eye, and how they are followed on the tape."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

import msgspec
import pytest
from redis.asyncio import Redis
from rich.console import Console
from rich.text import Text

from crosstape.bus import connect
from crosstape.errors import BusError
from crosstape.settings import BusSettings
from crosstape_cli.causes import Causes
from crosstape_cli.follow import Quotes, reachable, streams
from crosstape_cli.live import show
from crosstape_cli.view import age, line, number, size, state_of, table
from crosstape_schemas import CONSOLIDATED, Cbbo, Exclusion, FeedState, Keys, Leg, Market, Rate, Status, Vwap, encode
from tests.waiting import wait_until

KEYS = Keys()
S = 1_000_000_000
NOW = 1_000_000_000_000
GOOD = Leg(
    "binance", Decimal("100.10"), Decimal("1.23456789"), Decimal("100.20"), Decimal(2), NOW - 250_000_000, FeedState.LIVE, None, 1, 1
)
STALE = Leg("kraken", Decimal(99), Decimal(1), Decimal(101), Decimal(1), NOW - 45_000_000_000, FeedState.LIVE, Exclusion.STALE, 1, 1)
DOWN = Leg("coinbase", None, None, None, None, None, FeedState.DOWN, Exclusion.STATE, 1, 1)
QUOTE = Cbbo(
    venue=CONSOLIDATED, instrument="BTC-USDT", venue_ts=None, received_ts=NOW, ts=NOW, bid_price=Decimal("100.10"),
    bid_size=Decimal("1.23456789"), bid_venues=("binance",), ask_price=Decimal("100.20"), ask_size=Decimal(2), ask_venues=("binance",),
    mid=Decimal("100.15"), spread=Decimal("0.10"), spread_bps=Decimal("9.985"), market=Market.NORMAL, venues=1,
    vwap={"1m": Vwap(Decimal("100.123456789"), Decimal(5), 3)}, legs=(GOOD, STALE, DOWN), epoch=1, seq=1,
)  # fmt: skip
RATE = Rate("USDT-USD", "BTC-USDT", Decimal("1.0001"), NOW, 1, 1)
WORSE = msgspec.structs.replace(GOOD, bid_price=Decimal("100.05"))
COMPOSITE = msgspec.structs.replace(
    QUOTE, instrument="BTC-USD*", rates=(RATE,), method="composite/1",
    legs=tuple(
        msgspec.structs.replace(one, instrument=part) for part, leg in (("BTC-USD", GOOD), ("BTC-USDT", WORSE)) for one in (leg, DOWN)
    ),
)  # fmt: skip
EMPTY = msgspec.structs.replace(
    QUOTE, instrument="ETH-USDT", bid_price=None, bid_size=None, ask_price=None, ask_size=None, mid=None, spread=None, spread_bps=None,
    market=Market.EMPTY, venues=0, vwap={}, legs=(),
)  # fmt: skip


def drawn(columns: int = 120, rows: int = 20, silent: Mapping[str, float] = MappingProxyType({}), **quotes: Cbbo) -> str:
    """The table as text."""
    console = Console(file=io.StringIO(), width=columns, force_terminal=False)
    named = {quote.instrument: quote for quote in quotes.values()}
    console.print(table(named, now=NOW, rows=rows, columns=columns, title="the title", silent=silent))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_row_for_the_quote_and_one_for_each_leg() -> None:
    """Each row has ages, and the reason why a leg does not count."""
    rows = [" ".join(row.split()) for row in drawn(a=QUOTE).splitlines()]

    assert rows[0] == "the title"
    assert rows[2:] == [
        "BTC-USDT 1.2346 100.1 100.2 2 9.98 0.00 s 100.12346 1 of 3",
        "binance 1.2346 100.1 100.2 2 0.25 s live",
        "kraken 1 99 101 1 45 s stale",
        "coinbase – – – – – down",
    ]


def test_a_composite_shows_the_part_of_each_leg() -> None:
    """A venue has several legs in it. Only those at the best price are marked as such."""
    rows = [" ".join(row.split()) for row in drawn(a=COMPOSITE).splitlines()]

    assert [row.split()[:2] for row in rows[3:]] == [
        ["binance", "BTC-USD"],
        ["coinbase", "BTC-USD"],
        ["binance", "BTC-USDT"],
        ["coinbase", "BTC-USDT"],
    ]
    assert "(binance BTC-USD live, coinbase BTC-USD down, binance BTC-USDT live, coinbase BTC-USDT down)" in line(COMPOSITE)
    made = table({"BTC-USD*": COMPOSITE}, now=NOW, rows=20)
    marked = [[bool(cell.spans) for cell in list(column.cells)[1:] if isinstance(cell, Text)] for column in made.columns[2:4]]
    assert marked == [[True, False, False, False], [True, False, True, False]]


def test_a_quote_whose_aggregator_is_dead_says_so() -> None:
    """It is shown in place of the count of venues, which nobody knows any more; the legs show nothing."""
    rows = [" ".join(row.split()) for row in drawn(a=QUOTE, silent={"BTC-USDT": 12.3}).splitlines()]

    assert rows[2].endswith(" no aggregator for 12 s")
    assert rows[3] == "binance 1.2346 100.1 100.2 2 0.25 s –"
    assert line(QUOTE, 200.0) == "BTC-USDT   100.1 × 1.23456789 / 100.2 × 2  9.98 bps  no aggregator for 3 min"


def sign(
    ts: int, state: FeedState = FeedState.LIVE, *, venue: str = CONSOLIDATED, epoch: int = 1, reason: str = "", seq: int = 1
) -> Status:
    """A venue-wide status."""
    return Status(venue, "*", None, ts, "*", state, reason, epoch=epoch, seq=seq)


def test_the_causes_of_an_empty_picture_are_named() -> None:
    """Connectors that never ran, died, were stopped or have trouble; the aggregator; what venues refuse."""
    causes = Causes()
    assert causes.why_nothing(0.0, NOW) == ["no connector has run on this tape", "no aggregator has run on this tape"]

    causes.apply(sign(NOW - 45 * S, venue="binance"), 0.0, NOW)
    causes.apply(sign(NOW - 300 * S, FeedState.DOWN, venue="kraken", reason="stopped"), 0.0, NOW)
    causes.apply(sign(NOW - 12 * S), 0.0, NOW)
    assert causes.why_nothing(0.0, NOW) == [
        "no connector is alive",
        "binance has given no sign of life for 45 s",
        "kraken is down: stopped",
        "no aggregator for 12 s",
    ]

    causes.apply(sign(NOW, FeedState.DOWN, venue="kraken", reason="HTTP 451", seq=2), 0.0, NOW)
    assert causes.why_nothing(1.0, NOW)[:2] == ["binance has given no sign of life for 45 s", "kraken is down: HTTP 451"]
    assert causes.why_nothing(9.0, NOW + 9 * S)[:3] == [
        "no connector is alive",
        "binance has given no sign of life for 54 s",
        "kraken has given no sign of life for 9.00 s; it was down: HTTP 451",
    ]
    causes.apply(sign(NOW, FeedState.DOWN, venue="kraken", reason="stopped", seq=3), 0.0, NOW)
    assert causes.why_nothing(1.0, NOW)[::2][:2] == ["no connector is alive", "kraken is down: stopped"]

    for seq, venue in ((2, "binance"), (3, CONSOLIDATED)):
        causes.apply(sign(NOW, venue=venue, seq=seq), 0.0, NOW)
    causes.apply(sign(NOW, FeedState.CONNECTING, venue="kraken", reason="HTTP 451", seq=4), 0.0, NOW)
    assert causes.why_nothing(1.0, NOW) == ["kraken is connecting: HTTP 451"]
    refusal = Status("binance", "BTCUSDT", None, NOW, "*", FeedState.DOWN, "not listed")
    causes.apply(refusal, 0.0, NOW)
    assert causes.why_not("BTCUSDT") == "binance: not listed"
    assert causes.why_nothing(1.0, NOW)[-1] == "BTCUSDT is refused (binance: not listed)"
    causes.apply(msgspec.structs.replace(refusal, state=FeedState.LIVE), 0.0, NOW)
    assert causes.why_not("BTCUSDT") == ""


def test_an_aggregator_is_known_by_its_epoch() -> None:
    """Another that lives does not keep this one's quotes."""
    causes = Causes()
    causes.apply(sign(NOW, epoch=1), 0.0, NOW)
    assert causes.silent_s(QUOTE, 1.0, NOW + S) is None
    assert causes.silent_s(QUOTE, 4.0, NOW + 4 * S) == 4.0
    causes.apply(sign(NOW + 5 * S, epoch=2), 5.0, NOW + 5 * S)
    assert causes.silent_s(QUOTE, 5.0, NOW + 5 * S) == 5.0
    assert causes.silent_s(msgspec.structs.replace(QUOTE, epoch=2), 5.0, NOW + 5 * S) is None


def test_a_small_terminal_gets_the_quotes_alone() -> None:
    """Legs where there are rows for them, the VWAP where there are columns; the title says that legs are left out."""
    text = drawn(columns=80, rows=3, a=QUOTE, b=EMPTY)

    assert "binance" not in text
    assert text.startswith("the title; a taller window shows all legs")
    assert "VWAP" not in text
    assert "…" not in text
    assert "0 of 0 empty" in text


LONG = Decimal("64305.580812345678901")
CONVERTED = msgspec.structs.replace(
    COMPOSITE, bid_price=LONG + 1, ask_price=LONG, market=Market.CROSSED, spread_bps=Decimal("-0.1555"), bid_size=Decimal("0.0094388123"),
    vwap={"1m": Vwap(LONG, Decimal(5), 3)},
    legs=tuple(msgspec.structs.replace(leg, bid_price=LONG + 1, ask_price=LONG, bid_size=GOOD.bid_size) for leg in COMPOSITE.legs),
)  # fmt: skip


@pytest.mark.parametrize("columns", [70, 80, 90, 100, 110])
@pytest.mark.parametrize("silent", [{}, {"BTC-USD*": 12.3}])
def test_nothing_is_cut_at_any_width(columns: int, silent: Mapping[str, float]) -> None:
    """Of a crossed composite, which has the longest rows: each cell that is shown is whole, and the title says that some are not."""
    text = drawn(columns, silent=silent, a=CONVERTED, b=QUOTE)

    assert "…" not in text
    assert all(leg.venue + " " + str(leg.instrument) in text for leg in CONVERTED.legs)
    assert "64306.581" in text
    assert "no aggregator for 12 s" in text if silent else "1 of 4 crossed" in text
    assert ("a wider window shows all columns" in " ".join(text.split())) == (" age " not in text)


def test_at_100_columns_a_composite_is_shown_whole() -> None:
    """With the VWAP. Its prices have eight digits, those of an instrument all of theirs; a line has them in full."""
    text = drawn(100, a=CONVERTED, b=msgspec.structs.replace(QUOTE, bid_price=Decimal("100.1234567")))

    assert "VWAP" in text
    assert "wider" not in text
    rows = [" ".join(row.split()) for row in text.splitlines()]
    assert "BTC-USD* 0.0094388 64306.581 64305.581 2 -0.16 0.00 s 64305.581 1 of 4 crossed" in rows
    assert " 100.1234567 " in text
    assert f" {LONG + 1} × " in line(CONVERTED)


def test_a_composite_that_is_not_there_says_what_it_needs() -> None:
    """Its name alone does not tell that settings must name it."""
    nobody = Quotes(None, KEYS)  # type: ignore[arg-type]  # nothing is read
    assert nobody.named("BTC-USDT") == "BTC-USDT"
    assert nobody.named("ETH-USD*").startswith("ETH-USD* (a composite: aggregator.composites must name it")


def test_a_terminal_of_24_rows_shows_the_legs_of_the_first_instruments() -> None:
    """In the order of their names, each with all its legs or none."""
    text = drawn(columns=80, rows=6, a=QUOTE, b=msgspec.structs.replace(QUOTE, instrument="ETH-USDT"))
    rows = [row.split()[0] for row in text.splitlines()[2:]]

    assert rows == ["BTC-USDT", "binance", "kraken", "coinbase", "ETH-USDT"]
    assert "taller" not in drawn(columns=80, rows=8, a=QUOTE, b=EMPTY)


def test_a_quote_in_a_line() -> None:
    """The form for logs and pipes."""
    assert line(QUOTE) == (
        "BTC-USDT   100.1 × 1.23456789 / 100.2 × 2  9.98 bps  1 venue  normal  (binance live, kraken stale, coinbase down)"
    )
    assert "  1 leg  normal  (binance BTC-USD live" in line(COMPOSITE)
    assert line(EMPTY) == "ETH-USDT   – × – / – × –  – bps  0 venues  empty  ()"


@pytest.mark.parametrize(
    ("value", "full", "short"),
    [
        ("64250.00", "64250", "64250"),
        ("0.00001234", "0.00001234", "0.00001234"),
        ("1E+3", "1000", "1000"),
        ("0E-8", "0", "0"),
        ("227549.59021586", "227549.59021586", "227550"),
        ("0.01448224", "0.01448224", "0.014482"),
    ],
)
def test_numbers_are_plain(value: str, full: str, short: str) -> None:
    """No exponent, no zeros after the last digit; sizes have five digits."""
    assert number(Decimal(value)) == full
    assert size(Decimal(value)) == short


def test_the_vwap_is_plain_too() -> None:
    """Eight digits, and none cut off before the point."""
    prices = ("100.123456789", "1754321987.6543", "0.000000012345678912")
    assert [number(Decimal(price), digits=8) for price in prices] == ["100.12346", "1754321988", "0.000000012345679"]


def test_ages_are_not_clamped() -> None:
    """A clock ahead of ours shows as what it is."""
    assert [age(NOW - ns, NOW) for ns in (-500_000_000, 1_500_000_000, 12_000_000_000, 600_000_000_000)] == [
        "-0.50 s",
        "1.50 s",
        "12 s",
        "10 min",
    ]
    assert age(None, NOW) == "–"


def test_a_leg_says_why_it_does_not_count() -> None:
    """The state of its feed if that is the reason, else the reason itself."""
    assert [state_of(leg) for leg in (GOOD, STALE, DOWN)] == ["live", "stale", "down"]


async def put(client: Redis, quote: Cbbo) -> None:
    """Writes a quote to the tape, as a publisher does."""
    name = KEYS.stream("cbbo", quote.instrument)
    await client.xadd(name, {"d": encode(quote)})
    await client.hset(KEYS.last("cbbo", quote.instrument), CONSOLIDATED, encode(quote))
    await client.sadd(KEYS.registry(), name)


async def test_quotes_are_found_and_followed(client: Redis, valkey: str) -> None:
    """Quotes that exist, quotes that come, and instruments that appear later."""
    await put(client, QUOTE)
    await client.sadd(KEYS.registry(), "tape:trade:BTC-USDT", "something:else")
    async with connect(BusSettings(url=valkey)) as reading:
        assert await streams(reading, KEYS, "cbbo") == ["tape:cbbo:BTC-USDT"]
        quotes = Quotes(reading, KEYS)
        task = asyncio.create_task(quotes.run())
        await wait_until(lambda: "BTC-USDT" in quotes.latest, what="the last value")

        await put(client, msgspec.structs.replace(QUOTE, venues=3, seq=2))
        await put(client, msgspec.structs.replace(QUOTE, venues=2, seq=3))
        await put(client, EMPTY)
        await wait_until(lambda: "ETH-USDT" in quotes.latest and quotes.latest["BTC-USDT"].seq == 3, what="what came later")

        assert quotes.most_venues == {"BTC-USDT": 3, "ETH-USDT": 0}
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def give_sign(client: Redis, status: Status) -> None:
    """Writes a sign of life to the tape, as an aggregator does."""
    await client.xadd(KEYS.venue(status.venue), {"d": encode(status)})
    await client.hset(KEYS.last("status", "*"), status.venue, encode(status))
    await client.sadd(KEYS.registry(), KEYS.venue(status.venue))


@pytest.mark.parametrize("wanted", [(), ("BTC-USDT",)])
async def test_a_dead_aggregator_is_seen(client: Redis, valkey: str, wanted: tuple[str, ...]) -> None:
    """The aggregator died before or while somebody watches; one that is alive is not shown as dead."""
    now = time.time_ns()
    await give_sign(client, sign(now - 60 * S))
    await put(client, msgspec.structs.replace(QUOTE, received_ts=now - 60 * S))
    async with connect(BusSettings(url=valkey)) as reading:
        quotes = Quotes(reading, KEYS, wanted)
        task = asyncio.create_task(quotes.run())
        await wait_until(lambda: quotes.latest, what="the last value")
        assert quotes.silent()["BTC-USDT"] >= 60
        await wait_until(quotes.why_nothing, what="the causes")
        assert any(cause.startswith("no aggregator for 6") for cause in quotes.why_nothing())

        await give_sign(client, sign(time.time_ns(), epoch=2))
        await put(client, msgspec.structs.replace(QUOTE, epoch=2))
        await wait_until(lambda: not quotes.silent(), what="the new one's quote")
        died = time.monotonic()
        await wait_until(quotes.silent, what="it seen dead")
        assert 2.5 < time.monotonic() - died < 5
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_only_what_is_asked_for_is_followed(client: Redis, valkey: str) -> None:
    """Whether it exists yet or not. A composite's name is no pattern: it does not ask for BTC-USDT."""
    await put(client, QUOTE)
    async with connect(BusSettings(url=valkey)) as reading:
        quotes = Quotes(reading, KEYS, ["ETH-USDT", "BTC-USD*"])
        task = asyncio.create_task(quotes.run())
        await put(client, EMPTY)
        await put(client, COMPOSITE)
        await wait_until(lambda: len(quotes.latest) == 2, what="those that were asked for")

        assert set(quotes.latest) == {"ETH-USDT", "BTC-USD*"}
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_server_that_is_away_is_told() -> None:
    """Commands for people fail instead of waiting for ever."""
    async with connect(BusSettings(url="redis://127.0.0.1:1")) as nowhere:
        with pytest.raises(BusError, match="the server does not answer"):
            await reachable(nowhere)


@pytest.mark.parametrize("terminal", [True, False])
async def test_what_is_shown_changes_with_the_quotes(*, terminal: bool) -> None:
    """A terminal is updated in place; elsewhere new lines are printed."""
    file = io.StringIO()
    quotes = {"BTC-USDT": QUOTE}
    task = asyncio.create_task(show(quotes, console=Console(file=file, force_terminal=terminal, width=120), title=lambda: "the title"))
    await wait_until(lambda: "BTC-USDT" in file.getvalue(), what="the first picture")

    if terminal:
        quotes["ETH-USDT"] = EMPTY
        await wait_until(lambda: "ETH-USDT" in file.getvalue(), what="the next picture")
    assert "the title" in file.getvalue()
    assert ("\x1b[" in file.getvalue()) == terminal
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
