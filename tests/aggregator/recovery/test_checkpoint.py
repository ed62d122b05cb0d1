"""Encodes and decodes checkpoints; and after a crash at any moment each trade counts once."""

from __future__ import annotations

from decimal import Context, Decimal

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape.settings import AggregatorSettings
from crosstape_aggregator.consolidation.counts import Counts
from crosstape_aggregator.consolidation.instrument import ConsolidatedInstrument, InstrumentState
from crosstape_aggregator.consolidation.liveness import Liveness
from crosstape_aggregator.consolidation.rules import Rules
from crosstape_aggregator.recovery.checkpoint import (
    CHUNK_MINUTES,
    VERSION,
    BadCheckpoint,
    Fields,
    InstrumentCheckpoint,
    InstrumentEncoder,
    by_instrument,
    chunk_field,
    decode,
    head_field,
)
from crosstape_aggregator.windows.minute import unpack
from crosstape_aggregator.windows.window_spec import DAY_S
from crosstape_schemas import Gap, Trade, Vwap
from tests.aggregator.builders import T0, S, X, gap, trade

START_S = T0 // S


class Run:
    """One instrument in one process. It knows how many events of its stream it has applied."""

    def __init__(self, windows: tuple[str, ...], now: int) -> None:
        self.rules = Rules.of(AggregatorSettings(windows=windows))
        self.venues = Liveness(self.rules.stale_ns)
        self.instrument = ConsolidatedInstrument(X, self.rules, self.venues, Counts(), now)
        self.applied = 0
        self._encoder = InstrumentEncoder(X, {})
        self._server: dict[str, bytes] = {}

    def apply(self, tape: list[Trade | Gap], now: int) -> None:
        """Apply the events that were not applied yet."""
        for event in tape[self.applied :]:
            self.instrument.apply(event, now)
        self.applied = len(tape)

    def save(self) -> Fields | None:
        """Return its checkpoint as stored on the server; None while it catches up."""
        counted = self.instrument.state()
        if counted is None:
            return None
        self._server |= self._encoder.changed(InstrumentCheckpoint({"trade": f"{self.applied}-0"}, counted))
        for name in self._encoder.gone():
            del self._server[name]
        self._encoder.written()
        assert {name: len(field) for name, field in self._server.items()} == self._encoder.stored
        return dict(self._server)

    def vwap(self, now: int) -> dict[str, Vwap]:
        """Read the windows as they would be published."""
        return dict(self.instrument.windows.read(now // S))


def restarted(windows: tuple[str, ...], state: Fields | None, tape: list[Trade | Gap], now: int) -> Run:
    """Start a new process, which restores a checkpoint and applies the rest of the tape; without one, the full tape."""
    run = Run(windows, now)
    known_from_s = START_S
    if state is not None:
        ids, counted = decode(X, state)
        run.instrument.restore(counted, now)
        run.applied = int(ids["trade"].partition("-")[0])
        known_from_s = counted.coverage.from_s
        assert not any(one.complete for one in run.vwap(now).values())
    run.apply(tape, now)
    run.instrument.known_from(known_from_s)
    return run


prices = st.decimals(Decimal("0.00000001"), Decimal("99999.99"), places=8)
inverse = st.builds(Context(prec=28).divide, st.integers(1, 10**6).map(lambda contracts: Decimal(100 * contracts)), prices)
sizes = st.one_of(prices, inverse, st.just(Decimal(0)))  # a size of zero cannot be computed with: a gap
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
    """Checkpoints and crashes happen at any moment. The windows are always those of a run without interruption, to the last digit."""
    now = T0
    tape: list[Trade | Gap] = []
    uninterrupted, restarting = Run(windows, now), Run(windows, now)
    uninterrupted.instrument.known_from(START_S)
    restarting.instrument.known_from(START_S)
    state: Fields | None = None
    for what, venue, amount, price, size in steps:
        match what:
            case "trade":
                tape.append(trade(venue, str(price), str(size), now + amount * S, received_ts=now))
                uninterrupted.apply(tape, now)
            case "gap" | "repair":
                tape.append(gap(venue, T0 + amount * S, T0 + (amount + 1) * S, repaired=what == "repair"))
                uninterrupted.apply(tape, now)
            case "wait":
                now += amount * S
                uninterrupted.vwap(now)
            case "save":
                state = restarting.save() or state
            case "take":
                restarting.apply(tape, now)
            case _:
                restarting = restarted(windows, state, tape, now)
                assert restarting.vwap(now) == uninterrupted.vwap(now)
    restarting = restarted(windows, state, tape, now)
    for later_s in (0, 1, 30, 3_600, DAY_S):
        assert restarting.vwap(now + later_s * S) == uninterrupted.vwap(now + later_s * S)


def counted(*seconds: int) -> InstrumentState:
    """Return the state after a trade in each of these seconds."""
    one = Run(("1h", "1d"), T0)
    for at in seconds:
        one.instrument.apply(trade("kraken", "100.10", "1E-18", T0 + at * S), T0)
    one.instrument.known_from(START_S - 7)
    one.instrument.open_gap("binance", T0, T0 + S)
    found = one.instrument.state()
    assert found is not None
    return found


def fields_of(found: InstrumentState) -> dict[str, bytes]:
    """Return the fields of its first checkpoint."""
    return dict(InstrumentEncoder(X, {}).changed(InstrumentCheckpoint({"trade": "5-1", "gap": "7-0"}, found)))


def test_all_of_it_comes_back() -> None:
    """Each digit and each id is restored."""
    found = counted(-3_000, -500, 0, 1)
    ids, again = decode(X, fields_of(found))

    assert (ids, again) == ({"trade": "5-1", "gap": "7-0"}, found)
    sums = [*again.windows.unpacked.values(), *map(unpack, again.windows.packed.values())]
    assert [str(volume) for minute in sums for _, volume, _ in minute.values()] == ["1E-18"] * 4
    assert again.numbers == {"kraken": (1, 0)}
    assert again.coverage == (START_S - 7, 0, (("binance", T0, T0 + S),))


def test_only_what_has_changed_is_encoded() -> None:
    """A trade changes the head and its chunk; a chunk changes, too, when its minutes are packed.

    A chunk before all windows is deleted. After `forget`, all fields are encoded.
    """
    one, encoder = Run(("1h",), T0 - 3_500 * S), InstrumentEncoder(X, {})
    one.instrument.known_from(0)

    def changed(at: int, now_s: int) -> set[str]:
        one.instrument.apply(trade("kraken", "1", "1", T0 + at * S, received_ts=T0 + now_s * S), T0 + now_s * S)
        found = one.instrument.state()
        assert found is not None
        fields = dict(encoder.changed(InstrumentCheckpoint({}, found)))
        assert list(fields)[-1] == head_field(X)
        return fields.keys() - {head_field(X)}

    def chunk(at: int) -> str:
        return chunk_field(X, (START_S + at) // (60 * CHUNK_MINUTES))

    for at in range(-3_500, 1, 100):
        assert {chunk(at)} <= changed(at, at) <= {chunk(at), chunk(at - 100), chunk(at - 200)}
    assert changed(-3_000, 0) == {chunk(-3_000)}
    assert encoder.gone() == []
    assert len(encoder.stored) > 10
    assert changed(1, 1) == {chunk(1)}
    assert {chunk(1_800)} <= changed(1_800, 1_800) <= {chunk(1_800), chunk(0), chunk(-100)}
    assert chunk(-3_500) in encoder.gone()
    encoder.written()
    assert encoder.gone() == []
    assert chunk(-3_500) not in encoder.stored
    before = encoder.stored.keys() - {head_field(X)}
    encoder.forget()
    assert changed(1_801, 1_801) == before | {chunk(1_801)}


def test_fields_that_a_predecessor_wrote_are_gone_when_they_have_no_use() -> None:
    """They are counted as stored until they are deleted."""
    leftover = chunk_field(X, 1)
    encoder = InstrumentEncoder(X, {leftover: 7, head_field(X): 9})
    fields = dict(encoder.changed(InstrumentCheckpoint({}, counted(0))))

    assert encoder.gone() == [leftover]
    assert encoder.stored == {leftover: 7, **{name: len(field) for name, field in fields.items()}}


def test_names_of_fields_are_grouped_by_instrument() -> None:
    """An instrument may have any name. A foreign field belongs to no instrument."""
    names = [head_field(X), chunk_field(X, 12), head_field("A:B"), chunk_field("A:B", 3), "junk"]
    assert by_instrument(names) == {X: names[:2], "A:B": names[2:4], "": ["junk"]}


def head_of(content: object) -> dict[str, bytes]:
    """Return a head with this content."""
    return {head_field(X): zstandard.ZstdCompressor(write_checksum=True).compress(msgspec.msgpack.encode(content))}


def test_another_version_is_none_of_ours() -> None:
    """A checkpoint of another version is refused, whatever its content is."""
    with pytest.raises(BadCheckpoint, match=f"of version {VERSION + 1}"):
        decode(X, head_of([VERSION + 1, "who knows"]))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {head_field(X): b""},
        {head_field(X): b"{}"},
        {head_field(X): b"\x00" * 20},
        head_of(5),
        head_of([VERSION, 5]),
        head_of([VERSION, {}]),
    ],
)
def test_what_is_no_checkpoint_is_refused(fields: dict[str, bytes]) -> None:
    """Any bytes that are no checkpoint raise `BadCheckpoint`."""
    with pytest.raises(BadCheckpoint, match="damaged"):
        decode(X, fields)


STORED = fields_of(counted(-3_000, -500, 0, 1))
SAVED = decode(X, STORED)
PLACES = [(name, at) for name, field in STORED.items() for at in range(len(field))]


@given(st.sampled_from(PLACES), st.integers(1, 255))
@settings(max_examples=1_000, deadline=None)
def test_damage_is_found_wherever_it_is(place: tuple[str, int], flip: int) -> None:
    """A damaged checkpoint is decoded to the same values, or refused; never to other values."""
    name, at = place
    field = bytearray(STORED[name])
    field[at] ^= flip
    try:
        found = decode(X, STORED | {name: bytes(field)})
    except BadCheckpoint:
        return
    assert found == SAVED


@given(st.sampled_from(PLACES))
def test_a_torn_field_is_refused(place: tuple[str, int]) -> None:
    """A field that was cut off is refused, wherever the cut is."""
    name, length = place
    with pytest.raises(BadCheckpoint):
        decode(X, STORED | {name: STORED[name][:length]})


@pytest.mark.parametrize("name", STORED)
def test_a_field_that_is_missing_or_of_another_moment_is_found(name: str) -> None:
    """The head lists its chunks and their checksums."""
    with pytest.raises(BadCheckpoint, match="damaged"):
        decode(X, {other: field for other, field in STORED.items() if other != name})
    if name == head_field(X):
        return
    later = fields_of(counted(-3_000, -3_000, -500, -500, 0, 0, 1, 1))
    with pytest.raises(BadCheckpoint, match="is not the one that its head means"):
        decode(X, STORED | {name: later[name]})


def test_the_fields_of_another_instrument_are_refused() -> None:
    """They are refused even though they are not damaged."""
    other = {name.replace(X, "ETH-USDT"): field for name, field in STORED.items()}
    with pytest.raises(BadCheckpoint, match=f"the head of ETH-USDT says it is of {X}"):
        decode("ETH-USDT", other)
