"""`crosstape backfill` against simulated venues: what is in the history afterwards, whatever happened meanwhile."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from crosstape.errors import HistoryError, SettingsError, WrongTape
from crosstape.history.arrow import events_of
from crosstape.history.batch import Source
from crosstape.history.columns import BatchBuilder
from crosstape.history.opening import open_store
from crosstape.history.query import Query
from crosstape.history.text_events import decode as decode_text
from crosstape.settings import BusSettings, RecorderSettings, RunSettings, Settings, TelemetrySettings, VenueSettings
from crosstape_cli import backfill
from crosstape_connector.service import run as run_connector
from crosstape_connector.venues.registry import VENUES
from crosstape_recorder.backfill.progress_file import ProgressFile
from crosstape_recorder.fetching import Wanted
from crosstape_schemas import Candle, Keys, Trade, decode, encode
from crosstape_simulator.faults.parse import from_text
from crosstape_simulator.service import Simulator, simulator
from crosstape_simulator.spec import SimulatorSpec
from tests.cli.running import crosstape, environ
from tests.end_to_end.running import running, tape
from tests.end_to_end.venues import pair
from tests.waiting import wait_until

pq = pytest.importorskip("pyarrow.parquet", reason="the extra `history` is not installed")

HOUR = 3_600 * 10**9
MINUTE = 60 * 10**9


class Place:
    """A simulated venue with a deep past, and settings with a store of their own."""

    def __init__(self, made: Simulator, venue: str, folder: Path, bus: str = "") -> None:
        assert made.market is not None
        self.made = made
        self.venue = venue
        self.listing = pair(venue)[0]
        self.name = self.listing.instrument
        self.pair = made.market.market.pairs[venue, self.listing.symbol]
        server = made.servers[venue]
        self.settings = Settings(
            bus=BusSettings(url=bus),
            run=RunSettings(dir=str(folder / "run")),
            recorder=RecorderSettings(store=str(folder / "history")),
            telemetry=TelemetrySettings(http_enabled=False),
            venues={venue: VenueSettings(instruments=(self.name,), ws_url=server.ws_url, rest_url=server.rest_url)},
        )
        self.file = folder / "crosstape.toml"
        toml = (
            ("connector", "backfill_share = 1.0"),
            ("run", f'dir = "{folder}/run"'),
            ("recorder", f'store = "{folder}/history"'),
            (f"venues.{venue}", f'rest_url = "{server.rest_url}"'),
        )
        self.file.write_text("".join(f"[{section}]\n{line}\n" for section, line in toml))
        self.start_ts = made.market.now

    def wanted(self, from_ts: int, to_ts: int, timeframe: str | None = None) -> Wanted:
        """What a command would ask for."""
        return Wanted(venue=self.venue, instrument=self.name, from_ts=from_ts, to_ts=to_ts, timeframe=timeframe)

    def truth(self, from_ts: int, to_ts: int) -> Counter[tuple[str, Decimal, Decimal]]:
        """The true trades of a range."""
        assert self.pair.before is not None
        rows = [*self.pair.before, *self.pair.past]
        digits = self.listing.price_decimals
        return Counter(
            (str(fill.trade_id), Decimal(fill.price).scaleb(-digits), self.listing.base_size(fill.size, fill.price))
            for ts, fill in rows
            if from_ts <= ts // 10**6 * 10**6 < to_ts
        )

    async def events(self, kind: str, **changes: Any) -> list[Any]:
        """All that the history has."""
        async with open_store(self.settings) as store:
            return [decode(data) async for table in store.read(Query(kind=kind, **changes)) for data in events_of(table, kind)]

    async def trades(self) -> Counter[tuple[str, Decimal, Decimal]]:
        """The trades of the history."""
        events = await self.events("trade")
        return Counter((one.trade_id, one.price, one.size) for one in events if isinstance(one, Trade))

    def stored(self) -> int:
        """How many rows of trades the files hold, doubles included."""
        files = (Path(self.settings.recorder.store) / "trade").rglob("*.parquet")
        return sum(pq.read_metadata(path).num_rows for path in files)

    async def run(self, wanted: Wanted, **options: Any) -> None:
        """The command, in this process."""
        await backfill.run(self.settings, wanted, **options)


@asynccontextmanager
async def place(venue: str, folder: Path, bus: str = "", **changes: Any) -> AsyncIterator[Place]:
    """Runs a venue whose market goes on."""
    usual = {"past_hours": 30, "past_per_hour": 400, "rate": 30.0, "levels": 60}
    async with simulator(SimulatorSpec(venues=(venue,), **{**usual, **changes})) as made:
        yield Place(made, venue, folder, bus)


async def test_what_is_there_already_is_not_fetched_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second run fetches what is new; one of a wider range what is missing on both sides; `again` finds all of it known."""
    async with place("binance", tmp_path) as one:
        end_ts = one.start_ts - HOUR
        await one.run(one.wanted(end_ts - 4 * HOUR, end_ts))
        first = one.made.counters("binance").requests
        await one.run(one.wanted(end_ts - 3 * HOUR, end_ts - HOUR))
        assert one.made.counters("binance").requests == first
        assert "is in the history already" in capsys.readouterr().out
        await one.run(one.wanted(end_ts - 5 * HOUR, end_ts + HOUR // 2))
        assert await one.trades() == one.truth(end_ts - 5 * HOUR, end_ts + HOUR // 2)
        capsys.readouterr()
        await one.run(one.wanted(end_ts - 2 * HOUR, end_ts), again=True)
        count = sum(one.truth(end_ts - 2 * HOUR, end_ts).values())
        assert f"trade: 0 new, {count} known;" in capsys.readouterr().out
        assert await one.trades() == one.truth(end_ts - 5 * HOUR, end_ts + HOUR // 2)


async def test_a_lost_or_foreign_progress_file_costs_requests_only(tmp_path: Path) -> None:
    """Of another store, broken, or older than the history: rows that are known are left out."""
    async with place("binance", tmp_path) as one:
        wanted = one.wanted(one.start_ts - 3 * HOUR, one.start_ts - HOUR)
        await one.run(wanted)
        (file,) = (tmp_path / "run" / "backfill").glob("*.json")
        for content in (b"{", b"", file.read_bytes().replace(b'"store":"', b'"store":"x')):
            file.write_bytes(content)
            await one.run(wanted)
            assert await one.trades() == one.truth(wanted.from_ts, wanted.to_ts)


async def test_an_emptied_store_at_the_same_address_is_filled_again(tmp_path: Path) -> None:
    """The file knows of more commits than the store has."""
    async with place("binance", tmp_path) as one:
        wanted = one.wanted(one.start_ts - 3 * HOUR, one.start_ts - HOUR)
        await one.run(wanted)
        for path in (tmp_path / "history").rglob("*.parquet"):
            path.unlink()
        await one.run(wanted)
        assert await one.trades() == one.truth(wanted.from_ts, wanted.to_ts)


async def test_candles_that_changed_are_written_as_revisions(tmp_path: Path) -> None:
    """The venue's last figures count, and the earlier ones stay behind them."""
    async with place("binance", tmp_path) as one:
        wanted = one.wanted(one.start_ts - 2 * HOUR, one.start_ts - HOUR, "1m")
        one.made.faults.add(from_text("odd-past venue=binance how=moving number=1"))
        one.made.faults.tick()
        await one.run(wanted)
        before = await one.events("candle")
        await one.run(wanted, again=True)
        after = await one.events("candle")
        assert len(before) == len(after) == 60
        revised = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
        assert len(revised) == 2, "of the three newest in the answer the last one was not wanted"
        assert all(isinstance(new, Candle) and (old.revision, new.revision) == (0, 1) for old, new in revised)
        assert all(new.volume > old.volume and new.closed for old, new in revised)
        assert len(await one.events("candle", newest_revisions=False)) == 62
        await one.run(wanted, again=True)
        assert await one.events("candle") == after


async def test_two_backfills_at_once_write_each_trade_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They race for commits; the later one leaves out what the earlier has written."""
    monkeypatch.setattr(backfill, "COMMIT_ROWS", 300)
    async with place("binance", tmp_path, past_per_hour=900) as one:
        spans = [(one.start_ts - 5 * HOUR, one.start_ts - 2 * HOUR), (one.start_ts - 4 * HOUR, one.start_ts - HOUR)]
        await asyncio.gather(*(one.run(one.wanted(*span)) for span in spans))
        true = one.truth(spans[0][0], spans[1][1])
        assert await one.trades() == true
        assert one.stored() == sum(true.values())


def more_requests(one: Place, count: int) -> bool:
    """Whether the venue has had more requests than this."""
    return one.made.counters(one.venue).requests > count


SCRIPT = """
import sys
from crosstape_cli import backfill, main
backfill.COMMIT_ROWS = 300
sys.exit(main.main(sys.argv[1:]))
"""


@asynccontextmanager
async def with_small_commits(arguments: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs the command, which commits each page; kills it at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environ()
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_killed_at_any_moment_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """Six kills, each some requests and a moment after its start; then each trade is there once, and none was fetched in vain twice."""
    async with place("binance", tmp_path, past_per_hour=2_000) as one:
        wanted = one.wanted(one.start_ts - 16 * HOUR, one.start_ts - HOUR)
        arguments = ["backfill", "binance", one.name, "--from", str(wanted.from_ts), "--to", str(wanted.to_ts), "--settings", str(one.file)]
        chance = random.Random(1)
        had = 0
        for number in range(3, 9):
            async with with_small_commits(arguments) as process:
                await wait_until(partial(more_requests, one, one.made.counters("binance").requests + number), what="requests", timeout_s=60)
                assert process.returncode is None
                await asyncio.sleep(chance.random() / 20)  # so that it dies in a commit as well as between two
            stored = one.stored()
            assert stored >= had
            had = stored
        async with with_small_commits(arguments) as process:
            assert await asyncio.wait_for(process.wait(), 120) == 0
        true = one.truth(wanted.from_ts, wanted.to_ts)
        assert 0 < had < sum(true.values())
        assert await one.trades() == true
        assert one.stored() == sum(true.values())


@pytest.mark.slow
async def test_ctrl_c_saves_what_was_fetched_and_says_how_to_go_on(tmp_path: Path) -> None:
    """Exit code 0; the same command fetches the rest."""
    async with place("binance", tmp_path, past_per_hour=3_000) as one:
        wanted = one.wanted(one.start_ts - 13 * HOUR, one.start_ts - HOUR)
        arguments = ["backfill", "binance", one.name, "--from", str(wanted.from_ts), "--to", str(wanted.to_ts), "--settings", str(one.file)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "crosstape_cli", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environ()
        )
        await wait_until(lambda: one.made.counters("binance").requests > 12, what="some requests")
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0, err
        assert b"new, 0 known" in out
        assert b"stopped; the same command goes on from there" in err
        had = await one.trades()
        assert had
        before = one.made.counters("binance").requests
        done = await crosstape(*arguments)
        assert done.code == 0, done.err
        assert await one.trades() == one.truth(wanted.from_ts, wanted.to_ts)
        assert one.made.counters("binance").requests - before < 36, "it did not begin again"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((("bitstmp", "BTC-USD"), {"from_": "-1h"}), "VENUE bitstmp: did you mean bitstamp?"),
        ((("bitstamp", "BTC-USD"), {}), "--from is missing"),
        ((("bitstamp", "BTC-USD"), {"from_": "yesterday"}), "--from yesterday: no time"),
        ((("bitstamp", "BTC-USD"), {"from_": "-1h", "kind": "candle", "timeframe": "1q"}), "--timeframe 1q: "),
    ],
)
def test_the_command_says_what_is_wrong(arguments: tuple[tuple[str, str], dict[str, Any]], text: str) -> None:
    """Before anything is opened or asked."""
    names, options = arguments
    with pytest.raises(SettingsError) as caught:
        backfill.backfill(*names, **options)
    assert text in str(caught.value)


@pytest.mark.parametrize("refusal", ["listed", "reached"])
async def test_a_venue_that_gives_nothing_is_one_error(tmp_path: Path, refusal: str) -> None:
    """Nothing is complete, and the same command would not go on: no summary says so."""
    async with place("bitstamp", tmp_path) as one:
        if refusal == "reached":
            one.file.write_text(one.file.read_text().replace(one.made.servers["bitstamp"].rest_url, "http://127.0.0.1:1"))
        name = "BTC-UDS" if refusal == "listed" else one.name
        done = await crosstape("backfill", "bitstamp", name, "--from", "-1h", "--settings", str(one.file))

    assert done.code == 1
    assert done.out == b""
    assert ("BTC-UDS is not listed; near: BTC-USD" if refusal == "listed" else "the list of instruments cannot be fetched") in done.err
    assert "stopped" not in done.err
    assert "Traceback" not in done.err


async def test_what_a_venue_cannot_give_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    """The error says what can be had."""
    async with place("bitstamp", tmp_path) as one:
        end_ts = one.start_ts
        for venue, from_ts, timeframe, text in (
            ("bitstamp", end_ts - 72 * HOUR, None, "bitstamp has trades of the last 24 hours only: from 20"),
            ("bitstamp", end_ts - HOUR, "8h", "bitstamp cannot give candles of 8h; it has 1m, 3m"),
            ("kucoin", end_ts - HOUR, None, "the venue gives the newest 100 trades, and no others."),
            ("bingx_swap", end_ts - HOUR, None, "its trades have no ids on the stream"),
            ("kraken", end_ts - 24 * HOUR, "1m", "the last 720 candles of 1m only: from 20"),
        ):
            with pytest.raises(SettingsError, match=text):
                await one.run(Wanted(venue=venue, instrument=one.name, from_ts=from_ts, to_ts=end_ts, timeframe=timeframe))
        assert one.made.counters("bitstamp").requests == 0
        with pytest.raises(HistoryError, match="BTC-UDS is not listed; near: BTC-USD"):
            await one.run(Wanted(venue="bitstamp", instrument="BTC-UDS", from_ts=end_ts - HOUR, to_ts=end_ts))


async def test_simulated_data_do_not_get_into_a_live_history(tmp_path: Path) -> None:
    """A history knows the origin of its tape."""
    from crosstape.bus.spool.tape_identity import Identity

    async with place("binance", tmp_path) as one:
        async with open_store(one.settings) as store:
            await store.bind(Identity("a-tape", "live"), after=0)
        with pytest.raises(WrongTape, match="binance: its answers are simulated"):
            await one.run(one.wanted(one.start_ts - 2 * HOUR, one.start_ts - HOUR))
        assert not await one.trades()


def most_in_a_window(one: Place) -> dict[str, tuple[float, int]]:
    """Returns the most that requests weighed in any window of each limit of the venue, and the limit."""
    venue = VENUES[one.venue]
    found: dict[str, tuple[float, int]] = {}
    for limit in venue.rest_limits:
        asked = [(at, limit.weight(path)) for at, path in one.made.servers[one.venue].asked if venue.rest_limit(path) is limit]
        most = max((sum(weight for at, weight in asked if first <= at < first + limit.window_s) for first, _ in asked), default=0)
        found[limit.name] = (most, limit.capacity)
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("venue", "hours"), [("binance", 28), ("kraken", 8), ("coinbase", 28), ("bitfinex", 9)])
async def test_a_backfill_beside_a_live_connector_keeps_the_limit_and_costs_it_nothing(
    venue: str, hours: int, tmp_path: Path, client: Redis, valkey: str
) -> None:
    """The connector loses its connections twice meanwhile, and needs requests itself. The venue refuses nobody, and no trade is missed."""
    keys = Keys()
    async with place(venue, tmp_path, valkey, past_per_hour=1_500 if venue != "bitfinex" else 4_000) as one:
        async with running(run_connector(one.settings, venue)):
            trades = keys.stream("trade", one.name)

            async def flows() -> bool:
                return bool(await client.xlen(trades) > 20)

            await wait_until(flows, what="trades on the tape", timeout_s=30)
            wanted = one.wanted(one.start_ts - hours * HOUR, one.start_ts - HOUR)
            filling = asyncio.create_task(one.run(wanted))
            for _ in range(2):
                await wait_until(partial(more_requests, one, one.made.counters(venue).requests + 2), what="requests", timeout_s=60)
                one.made.drop_connections(venue)
            await asyncio.wait_for(filling, 120)
            assert await client.exists(*(keys.requests(limit.name) for limit in VENUES[venue].rest_limits))

            async def is_repaired() -> bool:
                """Whether the connector has fetched what it missed when it lost its connection."""
                found = {int(event.trade_id) for event in await tape(client, "trade", one.name) if isinstance(event, Trade)}
                return found >= {fill.trade_id for _, fill in one.pair.past if min(found) <= fill.trade_id <= max(found)}

            await wait_until(is_repaired, what="the trades that the connector missed", timeout_s=60)
        for name, (most, capacity) in most_in_a_window(one).items():
            assert most <= capacity, name
        ids = [int(event.trade_id) for event in await tape(client, "trade", one.name) if isinstance(event, Trade)]
        assert len(ids) == len(set(ids))
        true = [fill.trade_id for _, fill in one.pair.past if min(ids) <= fill.trade_id <= max(ids)]
        assert sorted(ids) == true
        assert await one.trades() == one.truth(wanted.from_ts, wanted.to_ts)


async def test_a_ban_that_a_backfill_meets_holds_the_connector_too(tmp_path: Path, client: Redis, valkey: str) -> None:
    """And it goes on when the ban is over."""
    from crosstape.bus import connect
    from crosstape.bus.request_budget import RequestBudget

    async with place("binance", tmp_path, valkey) as one:
        one.made.faults.add(from_text("rest-status venue=binance status=418 retry_after=2 count=1 path=/api/v3/historicalTrades"))
        one.made.faults.tick()
        began = time.monotonic()
        filling = asyncio.create_task(one.run(one.wanted(one.start_ts - 3 * HOUR, one.start_ts - 2 * HOUR)))
        async with connect(BusSettings(url=valkey)) as bus:
            live = RequestBudget(bus, Keys(), "binance")

            async def held() -> bool:
                return await live.spend(VENUES["binance"].rest_limits[0], 1) > 0

            await wait_until(held, what="the hold", timeout_s=20)
        await asyncio.wait_for(filling, 60)
        assert time.monotonic() - began > 2
        assert await one.trades() == one.truth(one.start_ts - 3 * HOUR, one.start_ts - 2 * HOUR)


async def test_a_wait_for_the_limit_is_said(tmp_path: Path, valkey: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Else a small backfill beside a tape seems to hang."""
    from crosstape.bus import connect
    from crosstape.bus.request_budget import RequestBudget

    async with place("binance", tmp_path, valkey) as one:
        async with connect(BusSettings(url=valkey)) as bus:
            await RequestBudget(bus, Keys(), "binance").hold(VENUES["binance"].rest_limits[0], 3)
        await one.run(one.wanted(one.start_ts - HOUR, one.start_ts - HOUR // 2))

    said = capsys.readouterr().err
    assert "binance BTC-USDT trade: waiting for the limit of requests of binance (connector.backfill_share), 3s" in said


def test_progress_files_of_odd_names_do_not_leave_their_folder(tmp_path: Path) -> None:
    """A name is a name, whatever is in it."""
    one = ProgressFile(tmp_path, "binance", "../../etc/BTC", "trade", "store")
    one.add((1, 5), 1)
    one.add((5, 9), 2)
    assert one.path.parent == tmp_path / "backfill"
    assert ProgressFile(tmp_path, "binance", "../../etc/BTC", "trade", "store").load(2) == [(1, 9)]
    assert ProgressFile(tmp_path, "binance", "../../etc/BTC", "trade", "another").load(2) == []
    assert [path.name for path in tmp_path.iterdir()] == ["backfill"]
    assert msgspec.json.decode(one.path.read_bytes())["number"] == 2


async def test_a_candle_of_the_tape_that_the_venue_has_changed_is_revised(tmp_path: Path) -> None:
    """The tape's stays where it agrees, and is superseded where it does not."""
    async with place("binance", tmp_path) as one:
        wanted = one.wanted(one.start_ts - 2 * HOUR, one.start_ts - HOUR, "1m")
        await one.run(wanted)
        true = await one.events("candle")
        for folder in ("history", "run"):
            shutil.rmtree(tmp_path / folder)
        builder = BatchBuilder("candle")
        for number, candle in enumerate(true[:10]):
            wrong = msgspec.structs.replace(candle, epoch=1, seq=number + 1, volume=candle.volume + number % 2)
            data = encode(wrong)
            builder.add(candle.open_ts // 10**6, 0, decode_text(data), data, Source.TAPE)
        async with open_store(one.settings) as store:
            assert await store.append(builder.build(), {}, after=0) == 1
        await one.run(wanted)
        found = await one.events("candle")
        assert [(candle.open_ts, candle.volume) for candle in found] == [(candle.open_ts, candle.volume) for candle in true]
        assert [candle.revision for candle in found[:10]] == [0, 1] * 5
        assert [candle.seq for candle in found[:10:2]] == [1, 3, 5, 7, 9]
