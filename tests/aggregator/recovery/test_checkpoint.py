"""What has been counted, as bytes and back; and that a crash at any moment counts nothing twice and nothing less."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crosstape.settings import AggregatorSettings
from crosstape_aggregator.consolidation.counts import Counts
from crosstape_aggregator.consolidation.instrument import ConsolidatedInstrument, InstrumentState, Rules
from crosstape_aggregator.consolidation.liveness import Liveness
from crosstape_aggregator.recovery import checkpoint
from crosstape_aggregator.recovery.checkpoint import VERSION, BadCheckpoint, InstrumentCheckpoint, Part, Writer, pack, read, unpack
from crosstape_aggregator.windows.window import DAY_S
from crosstape_schemas import Gap, Trade, Vwap
from tests.aggregator.builders import T0, S, X, gap, trade

START_S = T0 // S


class Run:
    """One instrument in one process, and how much of its stream it has taken."""

    def __init__(self, windows: tuple[str, ...], now: int) -> None:
        self.rules = Rules.of(AggregatorSettings(windows=windows))
        self.venues = Liveness(self.rules.stale_ns)
        self.instrument = ConsolidatedInstrument(X, self.rules, self.venues, Counts(), now)
        self.applied = 0
        self._writer = Writer(X)

    def apply(self, tape: list[Trade | Gap], now: int) -> None:
        """All that it has not taken."""
        for event in tape[self.applied :]:
            self.instrument.apply(event, now)
        self.applied = len(tape)

    def save(self) -> bytes | None:
        """Its checkpoint; None: not while it catches up."""
        counted = self.instrument.state()
        if counted is None:
            return None
        return pack({X: list(self._writer.pieces(InstrumentCheckpoint({"trade": f"{self.applied}-0"}, counted)))})

    def vwap(self, now: int) -> dict[str, Vwap]:
        """As it would be published."""
        return dict(self.instrument.windows.read(now // S))


def restarted(windows: tuple[str, ...], state: bytes | None, tape: list[Trade | Gap], now: int) -> Run:
    """A new process that has taken up a checkpoint, and the rest of the tape; without one, all of the tape."""
    run = Run(windows, now)
    known_from_s = START_S
    if state is not None:
        ids, counted = read(X, unpack(state)[X])
        run.instrument.restore(counted, now)
        run.applied = int(ids["trade"].partition("-")[0])
        known_from_s = counted.coverage.from_s
        assert not any(one.complete for one in run.vwap(now).values())
    run.apply(tape, now)
    run.instrument.known_from(known_from_s)
    return run


prices = st.decimals(Decimal("0.00000001"), Decimal("99999.99"), places=8)
sizes = st.one_of(prices, st.just(Decimal(0)))  # a size of zero cannot be computed with: a hole
steps = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.sampled_from(["kraken", "binance"]), st.integers(-4_000, 60), prices, sizes),
        st.tuples(st.just("trade"), st.sampled_from(["kraken", "binance"]), st.integers(-3, 2), prices, sizes),
        st.tuples(st.sampled_from(["gap", "repair"]), st.just("kraken"), st.integers(-100, 0), prices, prices),
        st.tuples(st.just("wait"), st.just(""), st.sampled_from([1, 5, 61, 3_000, 50_000]), prices, prices),
        st.tuples(st.sampled_from(["save", "take", "crash"]), st.just(""), st.just(0), prices, prices),
    ),
    max_size=80,
)


@given(steps, st.sampled_from([("10s", "1m", "1h", "1d"), ("1m",), ("1d",), ()]))
@settings(max_examples=300, deadline=None)
def test_a_crash_at_any_moment_changes_no_number(steps: list[tuple[str, str, int, Decimal, Decimal]], windows: tuple[str, ...]) -> None:
    """Checkpoints and crashes wherever they fall, again and again: windows are those of one uninterrupted run, to the digit."""
    now = T0
    tape: list[Trade | Gap] = []
    whole, broken = Run(windows, now), Run(windows, now)
    whole.instrument.known_from(START_S)
    broken.instrument.known_from(START_S)
    state: bytes | None = None
    for what, venue, amount, price, size in steps:
        match what:
            case "trade":
                tape.append(trade(venue, str(price), str(size), now + amount * S, received_ts=now))
                whole.apply(tape, now)
            case "gap" | "repair":
                tape.append(gap(venue, T0 + amount * S, T0 + (amount + 1) * S, repaired=what == "repair"))
                whole.apply(tape, now)
            case "wait":
                now += amount * S
                whole.vwap(now)
            case "save":
                state = broken.save() or state
            case "take":
                broken.apply(tape, now)
            case _:
                broken = restarted(windows, state, tape, now)
                assert broken.vwap(now) == whole.vwap(now)
    broken = restarted(windows, state, tape, now)
    for later_s in (0, 1, 30, 3_600, DAY_S):
        assert broken.vwap(now + later_s * S) == whole.vwap(now + later_s * S)


def counted(*seconds: int) -> InstrumentState:
    """Of a trade in each of these seconds."""
    one = Run(("1h", "1d"), T0)
    for at in seconds:
        one.instrument.apply(trade("kraken", "100.10", "1E-18", T0 + at * S), T0)
    one.instrument.known_from(START_S - 7)
    one.instrument.open_gap("binance", T0, T0 + S)
    found = one.instrument.state()
    assert found is not None
    return found


def part_of(found: InstrumentState) -> Part:
    """Its bytes."""
    return list(Writer(X).pieces(InstrumentCheckpoint({"trade": "5-1", "gap": "7-0"}, found)))


def test_all_of_it_comes_back() -> None:
    """Every digit, every id."""
    found = counted(-3_000, -500, 0, 1)
    ids, again = read(X, unpack(pack({X: part_of(found)}))[X])

    assert (ids, again) == ({"trade": "5-1", "gap": "7-0"}, found)
    assert [str(volume) for _, volume, _ in again.windows.buckets] == ["1E-18"] * 4
    assert again.numbers == {"kraken": (1, 0)}
    assert again.coverage == (START_S - 7, 0, (("binance", T0, T0 + S),))


def test_what_has_not_changed_is_not_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the head and the seconds of now; a late trade has its piece written, too."""
    one, writer = Run(("1h",), T0), Writer(X)
    one.instrument.known_from(0)
    made: list[bytes] = []
    compress = checkpoint._compress

    def counting(data: bytes) -> bytes:
        made.append(data)
        return compress(data)

    monkeypatch.setattr(checkpoint, "_compress", counting)

    def written(at: int) -> tuple[int, int]:
        one.instrument.apply(trade("kraken", "1", "1", T0 + at * S, received_ts=T0), T0)
        found = one.instrument.state()
        assert found is not None
        made.clear()
        part = list(writer.pieces(InstrumentCheckpoint({}, found)))
        assert read(X, part).state == found
        return len(made), len(part)

    for at in range(-3_500, 0, 100):
        written(at)
    pieces = written(0)[1]
    assert pieces > 10
    assert written(0) == (2, pieces)
    assert written(-3_000) == (2, pieces)


def test_another_version_is_none_of_ours() -> None:
    """Whatever it holds."""
    with pytest.raises(BadCheckpoint, match=f"of version {VERSION + 1}"):
        unpack(msgspec.msgpack.encode([VERSION + 1, "who knows"]))


@pytest.mark.parametrize(
    "state", [b"", b"{}", b"\x00" * 20, msgspec.msgpack.encode([VERSION, 5]), msgspec.msgpack.encode([VERSION, {X: [b""]}])]
)
def test_what_is_no_checkpoint_is_refused(state: bytes) -> None:
    """With an error of its own."""
    with pytest.raises(BadCheckpoint, match="damaged"):
        read(X, unpack(state)[X])


STATE = pack({X: part_of(counted(-3_000, -500, 0, 1))})
WHOLE = read(X, unpack(STATE)[X])


@given(st.integers(0, len(STATE) - 1), st.integers(1, 255))
@example(4, 128)
@example(250, 245)
@settings(max_examples=500, deadline=None)
def test_damage_is_found_wherever_it_is(at: int, flip: int) -> None:
    """A part is what it was, or of no use; never another number."""
    state = bytearray(STATE)
    state[at] ^= flip
    try:
        parts: Mapping[str, Part] = unpack(bytes(state))
        found = {name: read(name, part) for name, part in parts.items()}
    except BadCheckpoint:
        return
    assert found == {X: WHOLE}


@given(st.integers(0, len(STATE) - 1))
def test_a_torn_document_is_refused(length: int) -> None:
    """However much of it there is."""
    with pytest.raises(BadCheckpoint):
        unpack(STATE[:length])
