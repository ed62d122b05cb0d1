"""Windows are exact while their seconds are packed and unpacked, and need little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from decimal import Context, Decimal
from fractions import Fraction
from itertools import accumulate

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_aggregator.decimals import average
from crosstape_aggregator.windows.minute import Sum, pack, unpack
from crosstape_aggregator.windows.seconds import CROWDED, KEPT
from crosstape_aggregator.windows.vwap import TradeWindows, WindowsState
from crosstape_aggregator.windows.window_spec import DAY_S, WindowSpec, parse_all
from crosstape_schemas import Vwap

NOON = 20_000 * DAY_S + DAY_S // 2
EVE = NOON + DAY_S // 2 - 400
PLACES = 20


class Model:
    """Keeps all trades, with whole numbers in place of decimals. Windows are computed by their definition."""

    def __init__(self, specs: tuple[WindowSpec, ...]) -> None:
        self._specs = specs
        self._trades: list[tuple[int, int, int]] = []  # second, price × size, size

    def add(self, second: int, price: Decimal, size: Decimal) -> None:
        """Add a trade."""
        volume = Fraction(size) * 10**PLACES
        value = Fraction(price) * volume * 10**PLACES
        assert value.denominator == volume.denominator == 1
        self._trades.append((second, int(value), int(volume)))

    def windows(self, second: int) -> Iterator[tuple[str, int, int, int]]:
        """Yield the name, price × size, size and number of trades of each window."""
        for spec in self._specs:
            start_s = spec.start(second)
            inside = [trade for trade in self._trades if trade[0] >= start_s]
            yield spec.name, sum(trade[1] for trade in inside), sum(trade[2] for trade in inside), len(inside)


def shown(value: int, volume: int, trades: int) -> tuple[Decimal | None, Decimal, int]:
    """Return the published numbers of a window."""
    exact = Context(prec=200)
    size = exact.scaleb(Decimal(volume), -PLACES)
    return (average(exact.scaleb(Decimal(value), -2 * PLACES), size) if trades else None), size, trades


def check(windows: TradeWindows, model: Model, now: int, newest: int) -> None:
    """Every window is what the model says: as published, and exactly."""
    found = windows.read(now)
    state = windows.state()
    gone = {name: sums for name, _, sums in state.windows}
    for name, value, volume, trades in model.windows(newest):
        vwap = found[name]
        assert (vwap.price, vwap.volume, vwap.trades) == shown(value, volume, trades)
        assert (Fraction(state.total[0]) - Fraction(gone[name][0])) * 10 ** (2 * PLACES) == value


def frozen(state: WindowsState) -> bytes:
    """Return a copy of a state that nothing can change."""
    return msgspec.msgpack.encode(state)


prices = st.decimals(Decimal("0.0001"), Decimal(99_999), places=4)
sizes = st.one_of(
    st.decimals(Decimal("0.00000001"), Decimal(1_000), places=8), st.sampled_from([Decimal("1.000"), Decimal("1E+3"), Decimal("1E-20")])
)
later = st.sampled_from([1, 1, 2, 29, 59, 60, 61, 300, 330, 420, 3_600, 7_201, 40_000])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.one_of(st.integers(-7_500, 60), st.integers(-700, 3)), prices, sizes),
        st.tuples(st.just("about to leave"), st.integers(-3, 70), prices, sizes),
        st.tuples(st.just("every second"), st.integers(1, 130), prices, sizes),
        st.tuples(st.just("past"), st.integers(100, 7_200), prices, sizes),
        st.tuples(st.just("wait"), later, prices, sizes),
        st.tuples(st.just("clock back"), st.integers(1, 500), prices, sizes),
        st.tuples(st.sampled_from(["copy", "restore"]), st.just(0), prices, sizes),
    ),
    max_size=30,
)
SETS = [("90s", "7m", "2h"), ("1m", "5m", "1h", "1d"), ("60m", "1h", "3600s", "10s"), ("331s",), ("1d",), ("1s", "24h")]


@given(steps, st.sampled_from(SETS), st.sampled_from([NOON, EVE]))
@settings(max_examples=300, deadline=None)
def test_windows_of_any_length_are_exact(steps: list[tuple[str, int, Decimal, Decimal]], names: tuple[str, ...], start: int) -> None:
    """Trades come in order, late, into packed minutes, from the past in bulk and from the future; the clock jumps; states are restored.

    States that were copied at any moment stay as they are.
    """
    specs = parse_all(names)
    windows, model = TradeWindows(specs, start), Model(specs)
    now = newest = start
    copied: list[tuple[WindowsState, bytes]] = []

    def add(second: int, price: Decimal, size: Decimal) -> None:
        windows.advance(now)
        assert windows.add(second, price, size)
        model.add(second, price, size)

    for what, amount, price, size in steps:
        match what:
            case "trade":
                add(now + amount, price, size)
            case "every second":
                for at in range(amount):
                    now += 1
                    newest = max(newest, now)
                    add(now, price + at, size)
                    if at % 16 == 0:
                        check(windows, model, now, newest)
            case "past":
                for at in range(-amount, 0, 45):
                    add(now + at, price, size)
            case "about to leave":
                for spec in specs:
                    add(spec.start(newest) + amount, price, size)
            case "copy" | "restore":
                state = windows.state()
                copied.append((state, frozen(state)))
                if what == "copy":
                    continue
                windows = TradeWindows(specs, now)
                windows.restore(state)
            case _:
                now += amount if what == "wait" else -amount
                newest = max(newest, now)
        check(windows, model, now, newest)
    assert all(frozen(state) == copy for state, copy in copied)


@pytest.mark.parametrize("names", SETS)
def test_each_second_of_hours_is_exact(names: tuple[str, ...]) -> None:
    """A trade every second, with every window read at every second, and restored now and then."""
    specs = parse_all(names)
    windows = TradeWindows(specs, NOON - 1)
    count = 2 * 3_600 + 500
    volumes = [Decimal(1 + at * 7_919 % 1_000) / 1_000 for at in range(count)]
    before = list(accumulate(volumes, initial=Decimal(0)))
    for at in range(count):
        windows.advance(NOON + at)
        windows.add(NOON + at, Decimal(100), volumes[at])
        found = windows.read(NOON + at)
        for spec in specs:
            first = max(0, spec.start(NOON + at) - NOON)
            assert (found[spec.name].volume, found[spec.name].trades) == (before[at + 1] - before[first], at + 1 - first)
        if at % 617 == 0:
            state, windows = windows.state(), TradeWindows(specs, NOON + at)
            windows.restore(state)


def test_a_trade_that_is_late_leaves_with_its_second() -> None:
    """It comes after its minute was packed, while the window leaves that minute, and minutes have been packed since the window began to."""
    windows = TradeWindows(parse_all(("450s",)), NOON - 1)
    for at in range(545):
        windows.advance(NOON + at)
        windows.add(NOON + at, Decimal(1), Decimal(1))
        windows.read(NOON + at)
    windows.add(NOON + 119, Decimal(1), Decimal(7))

    assert windows.read(NOON + 569)["450s"].trades == 545 - 119 + 1
    assert windows.read(NOON + 570)["450s"].trades == 545 - 120


@pytest.mark.parametrize("is_restored", [False, True])
def test_a_trade_of_the_new_day_stays_when_the_clock_steps_over_the_longest_window(*, is_restored: bool) -> None:
    """A venue's clock was ahead at midnight; then nothing moved the windows for hours, as when all was stopped."""
    specs, midnight = parse_all(("1m", "1h", "1d")), NOON + DAY_S // 2
    windows = TradeWindows(specs, midnight - 1)
    windows.add(midnight - 1, Decimal(1), Decimal(5))
    windows.add(midnight + 1, Decimal(1), Decimal(7))
    if is_restored:
        state, windows = windows.state(), TradeWindows(specs, midnight + 7_200)
        windows.restore(state)

    found = windows.read(midnight + 7_200)

    assert {name: found[name].trades for name in found} == {"1m": 0, "1h": 0, "1d": 1}
    assert found["1d"].volume == 7


def test_trades_of_one_second_count_when_windows_are_read() -> None:
    """Reading between them changes nothing; neither do trades of another second between them."""
    each, once = TradeWindows(parse_all(("1m", "1h")), NOON), TradeWindows(parse_all(("1m", "1h")), NOON)
    for at in range(60):
        for windows in (each, once):
            assert windows.add(NOON - at % 3, Decimal(100 + at), Decimal("0.1"))
        each.read(NOON)

    assert each.read(NOON) == once.read(NOON)
    assert each.state() == once.state()
    assert once.read(NOON)["1h"] == Vwap(Decimal("129.5"), Decimal(6), 60, complete=False)


def test_what_has_no_exact_value_is_not_counted() -> None:
    """Nor does it change the trades of its second that were added before."""
    windows = TradeWindows(parse_all(("1m",)), NOON)
    long = Decimal("1." + "1" * 95)
    assert windows.add(NOON, Decimal(1), Decimal(2))
    for price, size in ((long, long), (Decimal(0), Decimal(1)), (Decimal(1), Decimal("NaN"))):
        assert not windows.add(NOON, price, size)

    assert windows.read(NOON)["1m"] == Vwap(Decimal(1), Decimal(2), 1, complete=False)


def busy(names: tuple[str, ...], seconds: int, first: int = NOON) -> TradeWindows:
    """Return windows with trades of usual numbers in each second."""
    windows = TradeWindows(parse_all(names), first - 1)
    for at in range(seconds):
        windows.advance(first + at)
        for _ in range(2):
            windows.add(first + at, Decimal(6_723_451 + at * 7) / 100, Decimal(1 + at * 7_919 % 100_000) / 10**5)
    return windows


def bytes_of(names: tuple[str, ...], seconds: int, first: int = NOON) -> float:
    """Return the memory of `busy` windows per second, with a state for a checkpoint."""
    tracemalloc.start()
    try:
        windows = busy(names, seconds, first)
        state = windows.state()
        size = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert state.total[2] == 2 * seconds
    return size / seconds


@pytest.mark.parametrize("first", [NOON, NOON + 17, NOON + 59])
def test_an_hour_of_busy_seconds_needs_little_memory(first: int) -> None:
    """An unpacked second needs 340 bytes, and a packed one under 30. Five minutes and the minute that a window leaves are not packed."""
    assert bytes_of(("1m", "5m", "1h", "1d"), 3_700, first) < 0.2 * 340


def test_a_day_of_busy_seconds_needs_less() -> None:
    """Of the longest window, a minute is not packed."""
    assert bytes_of(("24h",), 20_000) < 0.125 * 340


def test_the_past_is_packed_while_it_is_read() -> None:
    """Hours of past trades, read at one moment of our clock, are not all unpacked at once."""
    windows = TradeWindows(parse_all(("24h",)), NOON)
    for second in range(NOON - 20_000, NOON):
        windows.add(second, Decimal(100), Decimal(1))
        assert len(windows._seconds.unpacked) <= CROWDED + 1
    windows.advance(NOON + 60)

    assert len(windows._seconds.unpacked) <= KEPT + 2
    assert windows.read(NOON + 60)["24h"].trades == 20_000


digits = st.decimals(Decimal("1E-24"), Decimal("9E+23"), allow_nan=False, allow_infinity=False)
sums: st.SearchStrategy[Sum] = st.tuples(digits, digits, st.integers(1, 10**9))


@given(st.dictionaries(st.integers(0, 59), sums, min_size=1, max_size=10))
@settings(max_examples=50)
def test_a_packed_minute_has_every_digit(minute: dict[int, Sum]) -> None:
    """The same sums give the same bytes, in whatever order their seconds came."""
    packed = pack(minute)

    assert unpack(packed) == minute
    assert pack(dict(reversed(minute.items()))) == packed
    assert pack(unpack(packed)) == packed


@pytest.mark.parametrize(
    "content",
    [
        (b"", [], [], []),
        (b"\x3c", ["1"], ["1"], [1]),
        (b"\x01", ["1"], ["1"], []),
        (b"\x01\x02", ["1"], ["1"], [1]),
        (b"\x01", ["x"], ["1"], [1]),
        "junk",
    ],
)
def test_what_is_no_packed_minute_is_refused(content: object) -> None:
    """No seconds, a second after the minute, columns of other lengths, no numbers."""
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        unpack(msgspec.msgpack.encode(content))
