"""Encodes and decodes the bars of checkpoints; and after a crash at any moment no bar is missing, wrong or published again."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.recovery.checkpoint import (
    BadCheckpoint,
    InstrumentCheckpoint,
    InstrumentEncoder,
    decode,
)
from crosstape_schemas import Bar, FeedState, Gap, Side, Status, Trade
from tests.aggregator.builders import T0, S, X, alive, engine, gap, status, trade
from tests.aggregator.recovery.former import former_fields, sums_of

START_S = T0 // S - 90
VENUES = ("binance", "kraken")
ALL = 100_000
FOREVER = 1 << 62


class Tape:
    """The streams of one instrument, and the checkpoint on the server."""

    def __init__(self) -> None:
        self.trades: list[Trade | Gap] = []
        self.bars: list[Bar] = []
        self.fields: dict[str, bytes] = {}
        self.bars_at = 0
        """How many bars were on the tape when the checkpoint was made."""


class Process:
    """One aggregator. What it publishes waits in its memory until it is written to the tape, and is lost when it is killed."""

    def __init__(self, tape: Tape, now: int, *, restores: bool = True, unknown_until: Mapping[str, int] = MappingProxyType({})) -> None:
        self.tape = tape
        self.engine: Engine = engine(windows=("1m",), bars=("1s", "1m"), bar_history_s=1e6)
        self.instrument = self.engine.instrument(X, now)
        self._encoder = InstrumentEncoder(X, {name: len(field) for name, field in tape.fields.items()})
        self._waiting: list[Bar] = []
        assert self.instrument.bars is not None
        self.instrument.bars.held = True
        self._applied = bars_at = 0
        if restores and tape.fields:
            ids, state = decode(X, tape.fields)
            self.instrument.restore(state, now)
            self._applied, bars_at = int(ids["trade"].partition("-")[0]), tape.bars_at
        for venue in VENUES:
            self.engine.apply([living(venue, now - S), status(venue, FeedState.LIVE, now, kind="trade")], now)
        self.read(now)
        self.instrument.known_from(START_S)
        self.publish(now)
        assert self._waiting == []
        for bar in tape.bars[bars_at:]:
            self.instrument.bars.published(bar)
        self.instrument.bars.release(unknown_until)

    def read(self, now: int) -> None:
        """Apply what is new on the tape."""
        self.engine.apply(self.tape.trades[self._applied :], now)
        self._applied = len(self.tape.trades)

    def publish(self, now: int) -> None:
        """Publish what is due."""
        self.engine.apply([living(venue, now) for venue in VENUES], now)
        self.engine.look((), now, now)
        self.engine.due(now)
        while bars := [event for event in self.engine.due_outputs(now, ALL) if isinstance(event, Bar)]:
            self._waiting += bars

    def write(self) -> None:
        """Write what was published to the tape."""
        self.tape.bars += [bar for bar in self._waiting if bar.closed]
        self._waiting = []

    def save(self) -> None:
        """Write a checkpoint, unless bars wait."""
        state = self.instrument.state()
        if any(bar.closed for bar in self._waiting) or state is None:
            return
        self.tape.fields |= self._encoder.changed(InstrumentCheckpoint({"trade": f"{self._applied}-0"}, state))
        for name in self._encoder.gone():
            del self.tape.fields[name]
        self._encoder.written()
        self.tape.bars_at = len(self.tape.bars)


def living(venue: str, now: int) -> Status:
    """A venue's sign of life, whose clock is right."""
    return msgspec.structs.replace(alive(venue, now), clock_offset_ns=0)


def content(bar: Bar) -> Bar:
    """The same bar, without what depends on when it was published."""
    return msgspec.structs.replace(bar, revision=0, received_ts=0)


def newest(tape: Tape) -> dict[tuple[str, str, int], Bar]:
    """The highest revision of each bar. Each has the next revision, and other content than the one before."""
    found: dict[tuple[str, str, int], Bar] = {}
    for bar in tape.bars:
        key = bar.timeframe, bar.venue, bar.open_ts
        before = found.get(key)
        assert bar.revision == (0 if before is None else before.revision + 1)
        assert before is None or content(before) != content(bar)
        found[key] = bar
    return {key: content(bar) for key, bar in found.items()}


def compare(tape: Tape, other: Tape, *, late: bool) -> None:
    """Check that the bars of two tapes are the same.

    While a feed is `late`, it depends on when bars are closed whether they are complete, and whether there is one without trades.
    """
    ours, theirs = newest(tape), newest(other)
    if late:
        every = [key for key, bar in {**ours, **theirs}.items() if bar.trades or key in ours.keys() & theirs.keys()]
        ours, theirs = ({key: msgspec.structs.replace(one[key], complete=False) for key in every} for one in (ours, theirs))
    assert ours == theirs


prices = st.decimals(Decimal("0.00000001"), Decimal("99999.99"), places=8)
Steps = list[tuple[str, str, int, Decimal]]


def steps(*late: int) -> st.SearchStrategy[Steps]:
    """What happens, one after another. `late`: how many seconds later than now a trade is made."""
    return st.lists(
        st.one_of(
            st.tuples(st.just("trade"), st.sampled_from(VENUES), st.sampled_from(late), prices),
            st.tuples(st.just("trade"), st.sampled_from(VENUES), st.sampled_from(late), prices),
            st.tuples(st.sampled_from(["gap", "repair"]), st.just("kraken"), st.integers(-100, 0), prices),
            st.tuples(st.just("wait"), st.just(""), st.sampled_from([1, 3, 20, 61, 200]), prices),
            st.tuples(st.sampled_from(["serve", "serve", "save", "read", "publish", "write"]), st.just(""), st.just(0), prices),
            st.tuples(st.sampled_from(["crash", "crash", "crash", "forgetful"]), st.just(""), st.just(0), prices),
        ),
        min_size=10,
        max_size=40,
    )


@given(st.one_of(steps(0, 0, 1), steps(-300, -61, -60, -2, -1, 0, 0, 1)))
@settings(max_examples=40, deadline=None)
def test_a_crash_at_any_moment_changes_no_bar(steps: Steps) -> None:
    """Whatever is lost in memory, with a checkpoint or without: the tape has the bars of a run without interruption, each revision once."""
    now, number = T0, 100
    tape, undisturbed = Tape(), Tape()
    for one in (tape, undisturbed):
        one.trades += [msgspec.structs.replace(trade(venue, "5", "7", T0 - S), seq=number) for venue in VENUES]
    process, model = Process(tape, now), Process(undisturbed, now)
    for what, venue, amount, price in steps:
        match what:
            case "trade":
                number += 1
                made = trade(venue, str(price), "0.1", now + amount * S, received_ts=now, trade_id=str(number))
                side = (Side.BUY, Side.SELL)[number % 2]
                tape.trades.append(msgspec.structs.replace(made, taker=side, seq=number))
            case "gap" | "repair":
                tape.trades.append(gap(venue, T0 + amount * S, T0 + (amount + 1) * S, repaired=what == "repair"))
            case "wait":
                now += amount * S
            case "serve" | "save":
                process.read(now)
                process.publish(now)
                process.write()
                if what == "save":
                    process.save()
            case "read":
                process.read(now)
                process.save()
            case "publish":
                process.publish(now)
            case "write":
                process.write()
            case _:
                process = Process(tape, now, restores=what == "crash")
        undisturbed.trades[:] = tape.trades
        model.read(now)
        model.publish(now)
        model.write()
    now += 130 * S
    for running in (process, model):
        running.read(now)
        running.publish(now)
        running.write()
    late = any(amount < 0 for what, _, amount, _ in steps if what == "trade")
    compare(tape, undisturbed, late=late)
    process = Process(tape, now, restores=number % 2 == 0)
    process.publish(now)
    process.write()
    compare(tape, undisturbed, late=late)


def traded(count: int = 200, first_id: int = 0) -> tuple[Tape, Process]:
    """A process that has applied trades of two venues over some minutes, published the bars, and written a checkpoint."""
    tape, now = Tape(), T0
    process = Process(tape, now)
    for number in range(count):
        now += 2 * S
        made = trade(VENUES[number % 2], f"{100 + number % 7}.10", "0.30", now, trade_id=str(first_id + number))
        tape.trades.append(msgspec.structs.replace(made, seq=number + 1, taker=None if number % 50 == 0 else Side.BUY))
        process.read(now)
        process.publish(now)
        process.write()
    process.save()
    return tape, process


@pytest.mark.parametrize("first_id", [0, 10**39], ids=["ids of 64 bits", "ids of 40 digits"])
def test_all_bars_come_back(first_id: int) -> None:
    """Each digit, each number and each revision is restored, whatever the size of trade ids. Bars are divided into chunks by time."""
    tape, process = traded(first_id=first_id)
    _, state = decode(X, tape.fields)

    assert process.instrument.state() is not None
    assert state.bars is not None
    again = process.instrument.state()
    assert again is not None
    assert again.bars is not None
    for one in (state.bars, again.bars):
        for series in one.series:
            series.sums.sort()
            series.closed.sort()
    assert state.bars._replace(series=sorted(state.bars.series)) == again.bars._replace(series=sorted(again.bars.series))
    assert {str(sums.volume) for series in state.bars.series for _, sums in series.sums if series.timeframe == "1s"} == {"0.30"}
    timeframes = [name.partition(".")[0] for name in tape.fields if "." in name]
    assert timeframes.count("1s") in (7, 8)
    assert timeframes.count("1m") in (1, 2)


def test_only_chunks_with_changed_bars_are_written() -> None:
    """Those of the newest bars; with a late trade that of its bar as well."""
    tape, process = traded()
    now = T0 + 410 * S
    before = dict(tape.fields)
    process.publish(now)
    process.write()
    process.save()
    assert {name for name in tape.fields if "." in name and tape.fields[name] != before.get(name)} <= newest_fields(tape, 2)
    before = dict(tape.fields)
    late = trade("kraken", "1", "1", T0 + 10 * S, received_ts=now)
    tape.trades.append(msgspec.structs.replace(late, seq=500))
    process.read(now)
    process.publish(now)
    process.write()
    process.save()
    changed = {name for name in tape.fields if tape.fields[name] != before.get(name)}
    assert len([name for name in changed if name.startswith("1s.")]) == 1
    assert not any(name in changed for name in newest_fields(tape, 1) if name.startswith("1s."))


def newest_fields(tape: Tape, count: int) -> set[str]:
    """The fields of the newest chunks of each timeframe."""
    chunks = sorted((name for name in tape.fields if "." in name.partition(":")[0]), key=lambda name: int(name.partition(":")[0][3:]))
    return {name for timeframe in ("1s", "1m") for name in [one for one in chunks if one.startswith(timeframe)][-count:]}


@pytest.mark.parametrize("timeframe", ["1s", "1m"])
def test_a_chunk_of_bars_that_is_missing_or_damaged_is_found(timeframe: str) -> None:
    """The head has their checksums."""
    tape, _ = traded(40)
    name = next(name for name in tape.fields if name.startswith(f"{timeframe}."))
    for fields in ({**tape.fields, name: b"junk"}, {key: field for key, field in tape.fields.items() if key != name}):
        with pytest.raises(BadCheckpoint, match=f"damaged: {name} is not the one that its head means"):
            decode(X, fields)


def test_a_checkpoint_of_version_3_has_no_bars() -> None:
    """It is read: an aggregator without bars goes on with its windows."""
    _, process = traded(10)
    state = process.instrument.state()
    assert state is not None
    fields = former_fields(X, InstrumentCheckpoint({"trade": "7-0"}, state._replace(bars=None)), 3)
    ids, found = decode(X, fields)
    assert ids == {"trade": "7-0"}
    assert found.bars is None
    assert sums_of(found.windows) == sums_of(state.windows)


def test_bars_that_are_trimmed_are_not_published_again() -> None:
    """Neither they nor revisions of them. Those that are left are revised, and those after them are published as ever."""
    tape, process = traded(40)
    now = T0 + 90 * S
    process.publish(now)
    process.write()
    floor_ts = T0 + 40 * S
    everything = list(tape.bars)
    tape.bars = [bar for bar in everything if bar.close_ts > floor_ts]
    process = Process(tape, now, restores=False, unknown_until={"1s": floor_ts, "1m": floor_ts})
    for at, number in ((10, 900), (60, 901), (89, 902)):
        made = trade("kraken", "7", "7", T0 + at * S, received_ts=now, trade_id=str(number))
        tape.trades.append(msgspec.structs.replace(made, seq=number))
    now += 130 * S
    before = len(tape.bars)
    process.read(now)
    process.publish(now)
    process.write()
    new = {(bar.timeframe, bar.venue, (bar.open_ts - T0) // S, bar.revision) for bar in tape.bars[before:] if bar.trades}
    assert {one for one in new if one[:2] == ("1s", "kraken")} == {("1s", "kraken", 60, 1), ("1s", "kraken", 89, 0)}
    assert {one for one in new if one[:2] == ("1m", "kraken")} == {("1m", "kraken", 20, 1), ("1m", "kraken", 80, 0)}
    newest(tape)


def test_a_bar_of_which_trades_are_trimmed_stays_as_it_is() -> None:
    """Its trades are not on the tape any more, and no checkpoint has them: the predecessor's bar is right, and ours would be wrong."""
    tape, process = traded(40)
    now = T0 + 200 * S
    process.publish(now)
    process.write()
    before = list(tape.bars)
    tape.trades = tape.trades[20:]
    process = Process(tape, now, restores=False)
    process.publish(now)
    process.write()
    assert [bar for bar in tape.bars[len(before) :] if bar.trades] == []
