"""A symbol that says nothing: dead, halted or quiet; on simulated venues, with a real connector, by what is on the tape."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape_schemas import Book, FeedState, Gap, GapCause, Quote
from tests.end_to_end.running import newest, tape
from tests.end_to_end.test_faults import Venue, connected
from tests.end_to_end.venues import ALL, HALTS
from tests.rare import rare_but
from tests.waiting import wait_until

Note = Callable[[str, object], None]
SILENT_S, ASKED_S, CONFIRMED_S = 3.0, 5.0, 1.0
"""With these settings a silence of three seconds causes a request, at most one every five seconds; an answer is confirmed after one."""
DETECTED_S = SILENT_S + ASKED_S + CONFIRMED_S + 2.0
"""… and two for looks, answers and a slow machine."""
HALTED_S = 10.0
UNREAD = ("odd-row kind=quote what=price how=text", "malformed kind=quote how=json", "malformed kind=quote how=utf8")
ODD = (("size", "text"), ("price", "empty"), ("size", "missing"), ("size", "negative"), ("price", "type"))
LOOK_S = 0.02
"""Between two looks at the tape for what must not be there."""


async def live(venue: Venue, instrument: str = "") -> set[str]:
    """Returns which of quote and book are live by their newest event."""
    events = [await newest(venue.client, kind, instrument or venue.btc) for kind in ("quote", "book")]
    return {type(event).__name__ for event in events if isinstance(event, Quote | Book) and event.state is FeedState.LIVE}


async def instrument_state(venue: Venue, instrument: str = "") -> FeedState:
    """Returns the state of the newest status of the instrument as a whole."""
    states = await venue.states("*", instrument)
    return states[-1] if states else FeedState.LIVE


async def stays_out(venue: Venue, seconds: float) -> None:
    """Check for this long that neither quote nor book becomes live. Only waiting can show that."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert not await live(venue)
        await asyncio.sleep(LOOK_S)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "every"), rare_but(product(ALL, ("0", "4")), ("binance", "0"), ("kucoin", "4")))
async def test_a_dead_symbol_is_out_within_the_stated_time(  # noqa: PLR0917
    name: str, every: str, client: Redis, valkey: str, tmp_path: Path, record_property: Note
) -> None:
    """Its market moves once or often. It stays out until its stream sends again, and a gap reports what is missing; others continue."""
    async with connected(name, client, valkey, tmp_path) as venue:
        await venue.begins()
        dead = venue.set(f"stall instrument={venue.btc} heals=never")
        moves = venue.set(f"market instrument={venue.btc} every={every} by=-10")
        at = time.monotonic()

        async def out() -> bool:
            return not await live(venue)

        await wait_until(out, what=f"{venue.btc} is not live", timeout_s=DETECTED_S)
        record_property("out_after_s", round(time.monotonic() - at, 2))
        await stays_out(venue, 12.0)
        assert await live(venue, venue.eth)
        assert {gap.kind for gap in await tape(client, "gap", venue.btc) if isinstance(gap, Gap)} & {"quote", "book"}

        venue.made.faults.remove(moves.id)
        venue.made.faults.remove(dead.id)
        for kind in ("quote", "book"):
            await venue.until(kind, FeedState.LIVE)
        await venue.settles()


@pytest.mark.slow
@pytest.mark.parametrize("name", rare_but(zip(ALL, strict=True), ("binance",), ("kucoin",)))
async def test_a_quiet_market_is_never_called_dead(name: str, client: Redis, valkey: str, tmp_path: Path) -> None:
    """The market rests for long. REST gives the same book as the stream, so the book stays live."""
    async with connected(name, client, valkey, tmp_path) as venue:
        await venue.begins()
        await venue.until("quote", FeedState.LIVE)
        rest = venue.set(f"market instrument={venue.btc} how=rest")
        until = time.monotonic() + 20
        while time.monotonic() < until:
            assert await instrument_state(venue) is FeedState.LIVE
            quote = await newest(client, "quote", venue.btc)
            assert isinstance(quote, Quote)
            if name == "binance":
                assert quote.state is FeedState.LIVE
            await asyncio.sleep(LOOK_S)
        venue.made.faults.remove(rest.id)
        for kind in ("quote", "book"):
            await venue.until(kind, FeedState.LIVE)
        await venue.settles()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "how"), rare_but(HALTS, ("binance", "gone"), ("coinbase", "post_only"), ("kucoin", "halt")))
async def test_a_halted_pair_is_out_within_ten_seconds_and_comes_back(  # noqa: PLR0917
    name: str, how: str, client: Redis, valkey: str, tmp_path: Path, record_property: Note
) -> None:
    """Its stream is silent, and REST gives the same book. Only that pair is out, with the reason that the venue gives."""
    async with connected(name, client, valkey, tmp_path) as venue:
        await venue.begins()
        halt = venue.set(f"halt instrument={venue.btc} how={how}")
        at = time.monotonic()

        async def out() -> bool:
            return await instrument_state(venue) is FeedState.DOWN

        await wait_until(out, what=f"{venue.btc} is out", timeout_s=SILENT_S + HALTED_S)
        record_property("out_after_s", round(time.monotonic() - at, 2))
        assert await instrument_state(venue, venue.eth) is FeedState.LIVE
        assert await live(venue, venue.eth)

        venue.made.faults.remove(halt.id)

        async def back() -> bool:
            return await instrument_state(venue) is FeedState.LIVE

        await wait_until(back, what=f"{venue.btc} trades again", timeout_s=HALTED_S)
        for kind in ("quote", "book"):
            await venue.until(kind, FeedState.LIVE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"), rare_but(product(("binance", "kraken"), ("quote", "book")), ("binance", "quote"), ("kraken", "book"))
)
async def test_a_quote_and_a_book_that_contradict_each_other_are_both_out(  # noqa: PLR0917
    name: str, kind: str, client: Redis, valkey: str, tmp_path: Path, record_property: Note
) -> None:
    """Only one of the two streams is dead, in a market that goes on: within two seconds neither counts, until they agree."""
    async with connected(name, client, valkey, tmp_path) as venue:
        await venue.begins()
        dead = venue.set(f"stall instrument={venue.btc} kind={kind} heals=never")
        venue.set(f"market instrument={venue.btc} every=0.5 by=-1")
        at = time.monotonic()

        async def out() -> bool:
            return not await live(venue)

        await wait_until(out, what=f"{venue.btc} is not live", timeout_s=4.0)
        record_property("out_after_s", round(time.monotonic() - at, 2))
        await stays_out(venue, 8.0)
        venue.made.faults.remove(dead.id)
        for one in ("quote", "book"):
            await venue.until(one, FeedState.LIVE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "what", "how"),
    rare_but(
        ((name, *odd) for name in ALL for odd in ODD),
        ("binance", "size", "text"),
        ("coinbase", "price", "empty"),
        ("kraken", "size", "missing"),
        ("kucoin", "size", "negative"),
        ("binance", "price", "type"),
    ),
)
async def test_a_change_of_a_book_that_cannot_be_read_breaks_it_and_no_other(  # noqa: PLR0917
    name: str, what: str, how: str, client: Redis, valkey: str, tmp_path: Path
) -> None:
    """The book says at once that it is not true, a gap says that something is missing, and it is begun again."""
    async with connected(name, client, valkey, tmp_path) as venue:
        await venue.begins()
        venue.set(f"odd-row instrument={venue.btc} kind=book what={what} how={how}")

        async def told() -> bool:
            return any(isinstance(gap, Gap) and gap.kind == "book" for gap in await tape(client, "gap", venue.btc))

        await wait_until(told, what="a gap of the book", timeout_s=10.0)
        await venue.until("book", FeedState.LIVE)
        assert not [gap for gap in await tape(client, "gap", venue.eth) if isinstance(gap, Gap) and gap.kind == "book"]
        await venue.settles()


async def test_a_book_whose_snapshot_has_no_checksum_starts(client: Redis, valkey: str, tmp_path: Path) -> None:
    """Kraken sends one with each book; without it the book is proven by its next change."""
    async with connected("kraken", client, valkey, tmp_path, "checksum what=missing count=0") as venue:
        await venue.begins()
        await venue.settles()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fault"),
    rare_but(product(("binance", "kraken"), UNREAD), ("binance", UNREAD[0]), ("kraken", UNREAD[1]), ("binance", UNREAD[2])),
)
async def test_a_quote_that_cannot_be_read_is_out_until_the_next(name: str, fault: str, client: Redis, valkey: str, tmp_path: Path) -> None:
    """The market rests, so nothing else shows it: the quote is recovering at once, and no other instrument's is."""
    async with connected(name, client, valkey, tmp_path) as venue:
        await venue.begins()
        await venue.until("quote", FeedState.LIVE)
        rest = venue.set(f"market instrument={venue.btc} how=rest")
        venue.set(f"{fault} instrument={venue.btc}")
        step = venue.set(f"market instrument={venue.btc} by=-10")
        before = len(await venue.states("quote", venue.eth))

        async def out() -> bool:
            quote = await newest(client, "quote", venue.btc)
            return isinstance(quote, Quote) and quote.state is FeedState.RECOVERING

        await wait_until(out, what="the quote is recovering", timeout_s=1.0)
        assert (await venue.states("quote"))[-1] is FeedState.RECOVERING
        assert len(await venue.states("quote", venue.eth)) == before

        venue.made.faults.remove(step.id)
        venue.made.faults.remove(rest.id)
        await venue.until("quote", FeedState.LIVE)
        gaps = [gap for gap in await tape(client, "gap", venue.btc) if isinstance(gap, Gap) and gap.kind == "quote"]
        assert [gap.cause for gap in gaps] == [GapCause.UNKNOWN]
        await venue.settles()
