"""Probes by REST of instruments that are silent: over sockets, with a venue that answers as a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from aiohttp import web

from crosstape.settings import VenueSettings
from crosstape_connector.rest import probes, worker
from crosstape_connector.venues.spec import NOT_LISTED, TradingSource, Venue
from crosstape_schemas import FeedState, Gap, Status, Trade
from tests.connector.fake_venue import FakeVenue, book, endpoint, fake, quote, serving, trade
from tests.connector.rig import Rig, rigged
from tests.waiting import wait_until

SYMBOLS = ("AAAUSD", "BBBUSD", "CCCUSD")
A, B, C = "AAA-USD", "BBB-USD", "CCC-USD"
SETTINGS = VenueSettings(
    kinds=("trade", "quote", "book"), stale_s=60, stale_min_s=0.5, backoff_min_s=0.01, backoff_max_s=0.05, fallback_s=0
)


def parse(body: bytes, symbols: Sequence[str]) -> Mapping[str, str]:
    """`{"AAAUSD": "halted"}`."""
    return msgspec.json.decode(body, type=dict[str, str])


TRADING = TradingSource(
    rest="api",
    path=lambda symbols: f"/trading?symbols={','.join(symbols)}",
    parse=parse,
    unknown=lambda error: error.endswith("HTTP 404"),
    batch=10,
    per_minute=6000,
)


class Asked(FakeVenue):
    """A venue whose instruments may be halted, or not be listed any more."""

    def __init__(self) -> None:
        super().__init__()
        self.halted: dict[str, str] = {}
        self.gone: set[str] = set()
        self.fails = False
        self.on_subscribe = lambda _peer, wanted: [
            quote(symbol) if wanted["channel"] == "quotes" else book(symbol, 1, snap=True)
            for symbol in wanted["symbols"]
            if wanted["channel"] != "trades"
        ]
        self.quotes = dict.fromkeys(SYMBOLS, ("10.4", "10.6"))

    @property
    def questions(self) -> list[tuple[str, ...]]:
        """The symbols of each request whether they trade."""
        urls = [urlsplit(call) for call in self.calls]
        return [tuple(parse_qs(url.query)["symbols"][0].split(",")) for url in urls if url.path == "/trading"]

    async def rest(self, http: web.Request) -> web.StreamResponse:
        """Answer as the fake venue does, and whether instruments trade."""
        if http.path != "/trading":
            return await super().rest(http)
        self.calls.append(http.path_qs)
        symbols = http.query["symbols"].split(",")
        if self.fails:
            return web.Response(status=500)
        if self.gone.intersection(symbols):
            return web.Response(status=404)
        return web.Response(body=json.dumps({symbol: self.halted.get(symbol, "") for symbol in symbols}).encode())


def venue(**fields: object) -> Venue:
    """The fake venue with all sources of REST."""
    return msgspec.structs.replace(
        fake(endpoint(channels={"trade": "trades", "quote": "quotes", "book": "book"}), past=True), trading=TRADING, **fields
    )


@asynccontextmanager
async def silent(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Rig, Asked]]:
    """Three instruments whose streams brought data once; the pauses between probes are short."""
    for name, seconds in (
        ("TRADES_S", 0.2),
        ("TRADES_SILENT_S", 0.5),
        ("URGENT_S", 0.2),
        ("SILENT_S", 0.4),
        ("ROUTINE_S", 0.6),
        ("BEST_S", 0.3),
        ("ASK_AGAIN_S", 0.1),
        ("LOOK_S", 0.02),
    ):
        monkeypatch.setattr(probes, name, seconds)
    monkeypatch.setattr(worker, "LOOK_S", 0.02)
    server = Asked()
    async with serving(server), rigged(server, venue(), SETTINGS, SYMBOLS) as rig:
        rig.probes = probes.Probes(rig.rest_context, silent_s=SETTINGS.stale_min_s)
        async with rig.supervised(probes=True):
            await wait_until(lambda: all(rig.state(name, "quote") is FeedState.LIVE for name in (A, B, C)), what="live")
            beating = asyncio.create_task(_beat(server))
            try:
                yield rig, server
            finally:
                beating.cancel()


async def _beat(server: Asked) -> None:
    """Send heartbeats on every connection: it is alive, whatever its feeds do."""
    while True:
        for peer in list(server.peers):
            if not peer.socket.closed:
                await peer.send(b'{"hb":1}')
        await asyncio.sleep(0.1)


def state(rig: Rig, name: str) -> tuple[FeedState, str]:
    """Return the newest status of the instrument itself, not of a feed."""
    said = [event for event in rig.of(Status, name) if event.kind == "*"]
    return (said[-1].state, said[-1].reason) if said else (FeedState.LIVE, "")


async def test_a_halted_instrument_is_down_with_the_venues_reason_until_it_trades_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each status is published once, however many probes there are; the others stay as they were."""
    async with silent(monkeypatch) as (rig, server):
        server.halted["AAAUSD"] = "cancel only"
        await wait_until(lambda: state(rig, A) == (FeedState.DOWN, "does not trade: cancel only"), what="halted")
        asked = len(server.questions)
        await wait_until(lambda: len(server.questions) > asked + 3, what="asked again")
        assert len([event for event in rig.of(Status, A) if event.kind == "*"]) == 1
        assert state(rig, B) == state(rig, C) == (FeedState.LIVE, "")
        assert rig.feeds.halts == {A: "cancel only"}

        server.halted.clear()
        await wait_until(lambda: state(rig, A) == (FeedState.LIVE, ""), what="trading")
        assert rig.feeds.halts == {}


async def test_an_instrument_that_is_not_listed_any_more_is_found_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """One unknown symbol makes the venue refuse the request for all; the others are found out all the same."""
    async with silent(monkeypatch) as (rig, server):
        server.gone.add("BBBUSD")
        await wait_until(lambda: state(rig, B) == (FeedState.DOWN, f"does not trade: {NOT_LISTED}"), what="gone")
        server.halted["CCCUSD"] = "halted"
        await wait_until(lambda: state(rig, C)[0] is FeedState.DOWN, what="halted")
        asked = len(server.questions)
        await wait_until(lambda: len(server.questions) > asked + 6, what="asked again")
        assert all(len(symbols) == 1 for symbols in server.questions[asked:] if "BBBUSD" in symbols), "it is asked about alone"
        assert state(rig, A) == (FeedState.LIVE, "")

        server.gone.clear()
        await wait_until(lambda: state(rig, B)[0] is FeedState.LIVE, what="listed again")


async def test_a_venue_that_does_not_answer_halts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are repeated, further apart; what is known stays."""
    async with silent(monkeypatch) as (rig, server):
        server.halted["AAAUSD"] = "halted"
        await wait_until(lambda: state(rig, A)[0] is FeedState.DOWN, what="halted")
        server.fails = True
        asked = len(server.questions)
        await wait_until(lambda: len(server.questions) > asked + 2, what="asked again")
        assert state(rig, A)[0] is FeedState.DOWN
        assert state(rig, B)[0] is state(rig, C)[0] is FeedState.LIVE
        server.fails = False
        server.halted.clear()
        await wait_until(lambda: state(rig, A)[0] is FeedState.LIVE, what="trading")


async def test_a_halted_instrument_is_not_subscribed_again_for_its_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The halt explains the silence; after it the stream has time to bring data."""
    async with silent(monkeypatch) as (rig, server):
        server.halted["AAAUSD"] = "halted"
        await wait_until(lambda: rig.feeds.is_halted(A), what="halted")
        record = rig.feeds.records["quote", A]  # type: ignore[index]
        record.refuted_ts = record.received_ts + 1
        asked = len(server.questions)
        await wait_until(lambda: len(server.questions) > asked + 10, what="time passes")
        assert server.peer.asked("unsubscribe") == []
        record.refuted_ts = 0


async def test_silent_prices_are_compared_with_those_of_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a venue whose stream has the books: stale when REST has other prices twice, live again with the stream's next data."""
    async with silent(monkeypatch) as (rig, server):
        await wait_until(lambda: rig.counters.questions["best"] > 2, what="compared")
        assert rig.state(A, "quote") is rig.state(A, "book") is FeedState.LIVE
        server.quotes["AAAUSD"] = ("9.4", "9.6")

        await wait_until(lambda: {rig.state(A, "quote"), rig.state(A, "book")} == {FeedState.STALE}, what="stale")

        assert rig.state(B, "quote") is rig.state(C, "book") is FeedState.LIVE
        await wait_until(lambda: {("quotes", "AAAUSD"), ("book", "AAAUSD")} <= set(server.peers[0].asked("unsubscribe")), what="again")
        await server.peer.send(book("AAAUSD", 2, bid="9.4", ask="9.6"), quote("AAAUSD", "9.4", "9.6"))
        await wait_until(lambda: {rig.state(A, "quote"), rig.state(A, "book")} == {FeedState.LIVE}, what="live")


async def test_trades_that_only_rest_has_show_a_dead_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """The id of the newest trade by REST is compared with the stream's. What was missed is a gap, and fetched."""
    async with silent(monkeypatch) as (rig, server):
        for symbol in SYMBOLS:
            await server.peer.send(trade(symbol, 7))
            server.past[symbol] = [5, 6, 7]
        await wait_until(lambda: all(line.proven_ts for line in rig.feeds.trades.sequences.values()), what="proven to be quiet")
        assert all(rig.state(name, "trade") is FeedState.LIVE for name in (A, B, C))
        server.past["AAAUSD"] = [5, 6, 7, 8, 9]

        await wait_until(lambda: rig.state(A, "trade") is FeedState.STALE, what="stale")

        assert [(gap.kind, gap.missed) for gap in rig.of(Gap, A) if not gap.repaired] == [("trade", 2)]
        await wait_until(lambda: [one.trade_id for one in rig.of(Trade, A)] == ["7", "8", "9"], what="fetched")
        assert rig.state(B, "trade") is rig.state(C, "trade") is FeedState.LIVE
        await wait_until(lambda: ("trades", "AAAUSD") in server.peers[0].asked("unsubscribe"), what="subscribed again")
        await server.peer.send(trade("AAAUSD", 10))
        await wait_until(lambda: rig.state(A, "trade") is FeedState.LIVE, what="live")


async def test_a_standby_replica_probes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The active one does, and publishes what it finds."""
    async with silent(monkeypatch) as (rig, server):
        await wait_until(lambda: len(server.questions) > 2 and rig.counters.questions["best"] > 2, what="asked")
        rig.active = False
        server.halted["AAAUSD"] = "halted"
        looked = rig.asked
        await wait_until(lambda: rig.asked > looked + 20, what="what was under way is over")
        asked, looked = len(server.calls), rig.asked
        await wait_until(lambda: rig.asked > looked + 100, what="time passes")
        assert len(server.calls) == asked
        assert state(rig, A)[0] is FeedState.LIVE
        rig.active = True
        await wait_until(lambda: state(rig, A)[0] is FeedState.DOWN, what="halted")
