"""Rolling windows of trades."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_aggregator.clocks import AHEAD_S
from crosstape_aggregator.decimals import average
from crosstape_aggregator.windows.trade_time import trade_second
from crosstape_aggregator.windows.vwap import TradeWindows
from crosstape_aggregator.windows.window_spec import DAY_S, WindowSpec, parse_all
from crosstape_schemas import Vwap
from tests.aggregator.builders import T0, S, trade

NOON = 20_000 * DAY_S + DAY_S // 2
Added = tuple[int, Decimal, Decimal]


def brute_force(specs: Iterable[WindowSpec], added: list[Added], second: int) -> dict[str, tuple[Fraction, Fraction, int]]:
    """Compute a window by its definition: all trades since its start."""
    found = {}
    for spec in specs:
        inside = [(Fraction(price), Fraction(size)) for at, price, size in added if at >= spec.start(second)]
        found[spec.name] = (sum(p * s for p, s in inside) * Fraction(1), sum(s for _, s in inside) * Fraction(1), len(inside))
    return found


def agrees(vwap: Vwap, expected: tuple[Fraction, Fraction, int]) -> bool:
    """Whether a published window equals its definition, rounded as documented."""
    value, volume, trades = expected
    if vwap.trades != trades or Fraction(vwap.volume) != volume:
        return False
    if not trades:
        return vwap.price is None
    scale = 10**60
    rounded = average(Decimal(int(value * scale)), Decimal(int(volume * scale)))
    return vwap.price == rounded


steps = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.integers(-4_000, AHEAD_S), st.integers(1, 10**8), st.integers(1, 10**8)),
        st.tuples(st.just("trade"), st.integers(-5, 3), st.integers(1, 10**8), st.integers(1, 10**8)),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 1, 2, 5, 59, 60, 61, 3_000, 50_000, 200_000]), st.just(0), st.just(0)),
        st.tuples(st.just("clock back"), st.integers(1, 500), st.just(0), st.just(0)),
    ),
    max_size=120,
)


@given(steps, st.sampled_from([("10s", "1m", "1h", "1d"), ("1m",), ("1d",), ("1d", "5m"), ()]))
@settings(max_examples=300, deadline=None)
def test_windows_are_what_the_definition_says(steps: list[tuple[str, int, int, int]], names: tuple[str, ...]) -> None:
    """Trades come in any order, late, ahead of our clock, around midnight, after long silences, and while our clock is set back."""
    specs = parse_all(names)
    windows = TradeWindows(specs, NOON)
    now = newest = NOON
    added: list[Added] = []
    for what, amount, price, size in steps:
        if what == "trade":
            added.append((now + amount, Decimal(price) / 100, Decimal(size) / 10_000))
            windows.advance(now)
            windows.add(*added[-1])
        else:
            now += amount if what == "wait" else -amount
            newest = max(newest, now)
        if what == "wait" or len(added) % 7 == 0:
            found = windows.read(now)
            expected = brute_force(specs, added, newest)
            assert list(found) == [spec.name for spec in specs]
            assert all(agrees(found[name], expected[name]) for name in expected)


@given(st.lists(st.tuples(st.integers(-4_000, 30), st.integers(1, 10**6)), max_size=30), st.integers(0, 8_000))
def test_the_next_change_is_foretold(trades: list[tuple[int, int]], later_s: int) -> None:
    """Without an event nothing changes before `next_change_s`, and something changes then: a timer may rely on it."""
    windows = TradeWindows(parse_all(("1m", "1h", "1d")), NOON)
    windows.trust(True)
    windows.coverage.known_from(NOON - 100)
    for at, size in trades:
        windows.add(NOON + at, Decimal(100), Decimal(size))
    before = windows.read(NOON)
    foretold = windows.next_change_s()

    assert foretold is not None
    assert foretold > NOON
    unchanged = min(NOON + later_s, foretold - 1)
    assert windows.read(unchanged) is before
    assert windows.read(foretold) != before


def test_nothing_changes_where_nothing_is() -> None:
    """A window without trades never changes without an event, once it is complete."""
    windows = TradeWindows(parse_all(("1m", "1d")), NOON)
    windows.trust(True)
    windows.coverage.known_from(0)

    assert windows.read(NOON) == {"1m": Vwap(None, Decimal(0), 0), "1d": Vwap(None, Decimal(0), 0)}
    assert windows.next_change_s() is None


def test_a_window_is_its_whole_seconds_and_the_one_under_way() -> None:
    """A trade leaves when its second and the N seconds after it are over."""
    windows = TradeWindows(parse_all(("1m",)), NOON)
    windows.add(NOON, Decimal(100), Decimal(2))

    assert windows.read(NOON + 60)["1m"].trades == 1
    assert windows.read(NOON + 61)["1m"].trades == 0


def test_a_trade_of_a_venue_ahead_of_our_clock_counts_at_once() -> None:
    """It pushes no trade of another venue out of the window."""
    windows = TradeWindows(parse_all(("1m",)), NOON)
    windows.add(NOON - 60, Decimal(100), Decimal(1))
    windows.add(NOON + 2, Decimal(110), Decimal(1))

    assert windows.read(NOON)["1m"] == Vwap(Decimal(105), Decimal(2), 2, complete=False)


def test_what_is_ahead_of_midnight_is_in_the_new_day_too() -> None:
    """The venue's clock reaches midnight before ours. Its trade counts at once, and still counts after our midnight."""
    windows = TradeWindows(parse_all(("1d",)), NOON + DAY_S // 2 - 1)
    midnight = NOON + DAY_S // 2
    windows.add(midnight - 1, Decimal(100), Decimal(1))
    windows.add(midnight + 1, Decimal(100), Decimal(5))

    assert windows.read(midnight - 1)["1d"].volume == 6
    assert windows.read(midnight)["1d"].volume == 5
    assert windows.read(midnight + DAY_S)["1d"].volume == 0


def test_sums_need_more_digits_than_the_default_context_has() -> None:
    """A very small trade next to a very large one is not rounded away."""
    windows = TradeWindows(parse_all(("1m",)), NOON)
    windows.add(NOON, Decimal("98765432109876.12345678"), Decimal("12345678901234.123456789"))
    windows.add(NOON, Decimal("0.000000012345"), Decimal("0.000000000000000001"))

    assert windows.read(NOON)["1m"].volume == Decimal("12345678901234.123456789000000001")
    windows.read(NOON + 100)
    windows.add(NOON + 100, Decimal("0.000000012345"), Decimal("0.000000000000000001"))
    assert windows.read(NOON + 100)["1m"] == Vwap(Decimal("0.000000012345"), Decimal("1E-18"), 1, complete=False)


contracts = st.integers(1, 10**6)
coin_m_prices = st.decimals(Decimal("0.1"), Decimal(200_000), places=1)


@given(st.lists(st.tuples(contracts, coin_m_prices, st.integers(-90, 3)), min_size=1, max_size=60), st.integers(0, 200))
def test_sizes_of_inverse_contracts_are_summed_exactly(trades: list[tuple[int, Decimal, int]], later_s: int) -> None:
    """Contracts × 100 USD / price has no last digit: the size is one of 28 digits, and each of them counts in volume and VWAP."""
    specs = parse_all(("10s", "1m", "1d"))
    windows = TradeWindows(specs, NOON)
    added = [(NOON + at, price, Context(prec=28).divide(Decimal(100 * count), price)) for count, price, at in trades]
    for second, price, size in added:
        windows.add(second, price, size)

    for second in (NOON, NOON + later_s):
        expected = brute_force(specs, added, second)
        assert all(agrees(vwap, expected[name]) for name, vwap in windows.read(second).items())


def test_memory_does_not_grow_with_the_day() -> None:
    """Only what the longest rolling window needs is kept."""
    windows = TradeWindows(parse_all(("1m", "1d")), NOON)
    for second in range(20_000):
        windows.advance(NOON + second)
        windows.add(NOON + second, Decimal(1), Decimal(1))

    assert windows.read(NOON + 19_999)["1d"].trades == 20_000
    state = windows.state()
    assert len(state.packed) + len(state.unpacked) <= 3


def test_a_window_is_complete_once_it_starts_after_what_is_known() -> None:
    """A window is complete after the first trade read and after open gaps; a repaired gap does not matter."""
    windows = TradeWindows(parse_all(("1m", "1d")), NOON)
    windows.trust(True)
    assert not windows.read(NOON)["1m"].complete

    windows.coverage.known_from(NOON - 10)
    windows.coverage_changed()
    assert [windows.read(NOON + second)["1m"].complete for second in (49, 50)] == [False, True]

    windows.coverage.open_gap("kraken", (NOON + 50) * S, (NOON + 55) * S)
    windows.coverage_changed()
    assert not windows.read(NOON + 60)["1m"].complete
    windows.coverage.close_gap("kraken", (NOON + 50) * S, (NOON + 55) * S)
    windows.coverage_changed()
    assert windows.read(NOON + 60)["1m"].complete
    assert not windows.read(NOON + 60)["1d"].complete
    assert windows.read(NOON + DAY_S)["1d"].complete


def test_the_second_of_a_trade_is_the_venues() -> None:
    """The time of receipt is used if the venue gives no time, or an impossible one."""
    assert trade_second(trade("kraken", "1", "1", T0 - 90 * S, received_ts=T0)) == T0 // S - 90
    assert trade_second(trade("kraken", "1", "1", T0 + 2 * S, received_ts=T0)) == T0 // S + 2
    assert trade_second(trade("kraken", "1", "1", None, received_ts=T0)) == T0 // S
    assert trade_second(trade("kraken", "1", "1", T0 * 1_000, received_ts=T0)) == T0 // S


def test_windows_that_are_not_trusted_are_not_complete() -> None:
    """Windows that are not trusted are not complete; they are complete again as soon as they are trusted."""
    windows = TradeWindows(parse_all(("1m",)), NOON)
    windows.coverage.known_from(0)
    assert not windows.read(NOON)["1m"].complete
    assert windows.trust(True)
    assert not windows.trust(True)
    assert windows.read(NOON)["1m"].complete
    assert windows.trust(False)
    assert not windows.read(NOON)["1m"].complete


def test_windows_that_stand_still_are_not_complete() -> None:
    """Our clock was set back, so windows are ahead of it until it has caught up. A step of one second does not matter."""
    windows = TradeWindows(parse_all(("1m",)), NOON)
    windows.coverage.known_from(0)
    windows.trust(True)
    assert windows.read(NOON + 90)["1m"].complete
    assert windows.read(NOON + 89)["1m"].complete
    assert not windows.read(NOON + 88)["1m"].complete
    assert windows.read(NOON + 90)["1m"].complete
