"""A venue loses trades while REST refuses: `gaps` lists what the history lacks, `repair` fetches it, and the bars are right again."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from crosstape.bus import connect
from crosstape.history.opening import open_store
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape.settings import AggregatorSettings, RecorderSettings, Settings, VenueSettings
from crosstape_aggregator import service as aggregator
from crosstape_cli.gaps import print_gaps
from crosstape_cli.gaps_selection import reach, selection
from crosstape_cli.past_fetch import venue_pasts
from crosstape_cli.repair import fill, revise
from crosstape_connector import service as connector
from crosstape_recorder import repairing, revising
from crosstape_recorder import service as recorder
from crosstape_recorder.bars import numbers_of, total
from crosstape_recorder.revising import events
from crosstape_recorder.selection import Selection
from crosstape_schemas import CONSOLIDATED, Bar, Gap, Trade
from crosstape_simulator.faults import parse
from crosstape_simulator.faults.spec import RestStatus
from crosstape_simulator.service import Simulator, simulator
from crosstape_simulator.spec import SimulatorSpec
from crosstape_simulator.truth import Truth
from tests.end_to_end.running import running, settings, tape
from tests.end_to_end.test_recordings import rest_url
from tests.end_to_end.venues import pair
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SECOND = 10**9
VENUE = "binance"


async def events_of(store: Store, kind: str) -> list[object]:
    """All events of a kind in the history."""
    return [event async for event in events(store, Query(kind=kind))]


async def test_what_was_lost_is_listed_fetched_and_in_the_bars(
    client: Redis, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each trade of the market is in the history once; what was repaired is not listed, and another repair has nothing to do."""
    monkeypatch.setattr(repairing, "SETTLED_NS", SECOND)
    monkeypatch.setattr(revising, "SETTLED_NS", SECOND)
    (tmp_path / "run").mkdir()
    async with simulator(SimulatorSpec(venues=(VENUE,), rate=200.0)) as made:
        of_all = _settings(valkey, tmp_path / "run", made)
        instrument = pair(VENUE)[0].instrument
        async with running(recorder.run(of_all)):
            async with running(connector.run(of_all, VENUE), aggregator.run(of_all)):
                true = await _lose_trades(made, client, instrument)
            await wait_until(lambda: _all_recorded(of_all, client, instrument), what="all is recorded", timeout_s=30)
        made.faults.add(parse.from_text("burst factor=0.001"))
        for fault in made.faults.listed():
            if isinstance(fault.fault, RestStatus):
                made.faults.remove(fault.id)
        wanted = _wanted(of_all, instrument)
        async with open_store(of_all) as store:
            await print_gaps(of_all, store, wanted, lambda one: reach(one, time.time_ns()), as_lines=True)
            listed = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
            async with venue_pasts(of_all) as pasts:
                done = [one async for one in fill(of_all, store, pasts, wanted)]
                again = [one async for one in fill(of_all, store, pasts, wanted)]
            async with connect(of_all.bus) as own:
                complaints: list[str] = []
                count = await revise(of_all, store, own, wanted, say=complaints.append)
                second = await revise(of_all, store, own, wanted, say=complaints.append)
            trades = [one for one in await events_of(store, "trade") if isinstance(one, Trade) and one.instrument == instrument]
            recorded = [one for one in await events_of(store, "bar") if isinstance(one, Bar) and one.instrument == instrument]

        assert [(gap["kind"], gap["repairable"]) for gap in listed] == [("trade", True)] * len(listed)
        assert sum(gap["missing"] for gap in listed) >= 5
        assert [one.reason for one in done] == [""] * len(listed)
        assert sum(one.came for one in done) >= sum(gap["missing"] for gap in listed)
        assert again == []
        numbers = sorted(int(one.trade_id) for one in trades)
        assert numbers == [number for number in sorted(true) if numbers[0] <= number <= numbers[-1]]
        for one in trades:
            assert (one.price, one.size) == (Decimal(true[int(one.trade_id)]["price"]), Decimal(true[int(one.trade_id)]["size"]))
        assert complaints == []
        assert count > 0
        assert second == 0
        await _bars_are_right(client, instrument, trades, recorded, count)


def _settings(valkey: str, run_dir: Path, made: Simulator) -> Settings:
    own = VenueSettings(
        instruments=(pair(VENUE)[0].instrument,), kinds=("trade", "quote", "status"),
        ws_url=made.ws_url[VENUE], rest_url=rest_url(made, VENUE), backoff_min_s=0.1, backoff_max_s=0.5, fallback_s=0.0,
    )  # fmt: skip
    found = settings(valkey, run_dir, {VENUE: own}, AggregatorSettings(bars=("1s", "1m"), bar_history_s=2.0, bar_grace_s=0.5))
    return msgspec.structs.replace(found, recorder=RecorderSettings(commit_s=0.2, compact_s=0.0))


def _wanted(of_all: Settings, instrument: str) -> Selection:
    now_ts = time.time_ns()
    return selection(of_all, instrument, None, "trade", times=(None, now_ts + 60 * SECOND), now_ts=now_ts + 6 * SECOND)


async def _lose_trades(made: Simulator, client: Redis, instrument: str) -> dict[int, Any]:
    """Let trades be lost, twice, while REST refuses, and others come after them. Returns all that were made meanwhile, by their ids."""
    assert made.market is not None
    truth, true = Truth(made.market), dict[int, Any]()

    def note() -> None:
        """The market keeps the newest ones only."""
        true.update((row["id"], row) for row in truth.trades(VENUE, instrument, 0, 10**6)["trades"])

    async def trades(least: int) -> bool:
        note()
        return len(await tape(client, "trade", instrument)) >= least

    async def gaps(least: int) -> bool:
        found = [one for one in await tape(client, "gap", instrument) if isinstance(one, Gap) and one.kind == "trade"]
        return len(found) >= least

    await wait_until(lambda: trades(30), what="trades", timeout_s=60)
    made.faults.add(parse.from_text(f"rest-status venue={VENUE} status=503 retry_after=0"))
    for least in (1, 2):
        made.faults.add(parse.from_text(f"drop venue={VENUE} kind=trade count=8"))
        await wait_until(lambda least=least: gaps(least), what="a gap", timeout_s=60)  # type: ignore[misc]
        there = len(await tape(client, "trade", instrument))
        await wait_until(lambda there=there: trades(there + 60), what="trades after it", timeout_s=60)  # type: ignore[misc]
    until_s = time.monotonic() + 6

    def is_history() -> bool:
        note()
        return time.monotonic() > until_s

    await wait_until(is_history, what="bars are history", timeout_s=20)
    return true


async def _all_recorded(of_all: Settings, client: Redis, instrument: str) -> bool:
    on_tape = [len(await tape(client, kind, instrument)) for kind in ("trade", "gap")]
    async with open_store(of_all) as store:
        return [
            len(await events_of(store, "trade")),
            len([1 for one in await events_of(store, "gap") if getattr(one, "instrument", "") == instrument]),
        ] == on_tape


async def _bars_are_right(client: Redis, instrument: str, trades: list[Trade], recorded: list[Bar], count: int) -> None:
    """The newest revision of each bar of a second that was revised has the numbers of all trades; no other bar was revised."""
    on_tape = [one for one in await tape(client, "bar:1s", instrument) if isinstance(one, Bar) and one.closed]
    corrected = [one for one in on_tape if one.epoch not in {bar.epoch for bar in recorded}]
    assert 0 < len(corrected) <= count
    before = {(bar.venue, bar.open_ts): bar.revision for bar in recorded if bar.timeframe == "1s"}
    for bar in corrected:
        mine = [one for one in trades if bar.open_ts <= (one.venue_ts or 0) < bar.close_ts]
        assert numbers_of(bar) == total(mine).numbers()
        assert bar.revision == before.get((bar.venue, bar.open_ts), -1) + 1
    assert {bar.venue for bar in corrected} == {VENUE, CONSOLIDATED}
    fetched = {(one.venue_ts or 0) // SECOND * SECOND for one in trades if not one.seq}
    assert {bar.open_ts for bar in corrected} <= fetched
    value = await client.hget("tape:last:bar:1s:" + instrument, VENUE)
    assert isinstance(value, bytes)
    assert msgspec.json.decode(value)["open_ts"] > max(bar.open_ts for bar in corrected)
