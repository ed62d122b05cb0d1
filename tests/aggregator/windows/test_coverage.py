"""Tests since when trades are complete."""

from __future__ import annotations

from crosstape_aggregator.windows.coverage import MAX_GAPS, SECOND, Coverage


def test_nothing_is_complete_before_the_start_is_known() -> None:
    """Nothing is complete before `known_from` is called, with gaps or without."""
    coverage = Coverage()
    coverage.open_gap("kraken", 5 * SECOND, 6 * SECOND)
    assert coverage.complete_since_s is None


def test_trades_are_complete_after_the_last_gap() -> None:
    """The last second of a gap is incomplete, too; the gap that ends last decides."""
    coverage = Coverage()
    coverage.known_from(100)
    assert coverage.complete_since_s == 100
    coverage.open_gap("kraken", 150 * SECOND, 160 * SECOND)
    coverage.open_gap("binance", 120 * SECOND, 130 * SECOND)
    assert coverage.complete_since_s == 161


def test_a_repair_is_of_one_venue_and_of_just_that_gap() -> None:
    """A repaired part of a gap has other times, even in the same second; a gap within another is not repaired with it."""
    coverage = Coverage()
    coverage.known_from(100)
    coverage.open_gap("kraken", 150 * SECOND, 160 * SECOND)
    coverage.close_gap("binance", 150 * SECOND, 160 * SECOND)
    coverage.close_gap("kraken", 150 * SECOND, 160 * SECOND - 1)
    coverage.close_gap("kraken", 140 * SECOND, 170 * SECOND)
    assert coverage.complete_since_s == 161
    coverage.close_gap("kraken", 150 * SECOND, 160 * SECOND)
    assert coverage.complete_since_s == 100


def test_gaps_that_no_window_reaches_are_dropped() -> None:
    """Gaps before all windows do not matter any more."""
    coverage = Coverage()
    coverage.known_from(100)
    coverage.open_gap("kraken", 150 * SECOND, 160 * SECOND)
    coverage.forget(160)
    assert len(coverage._gaps) == 1
    coverage.forget(161)
    assert len(coverage._gaps) == 0


def test_the_number_of_gaps_is_bounded() -> None:
    """If there are too many gaps, the oldest counts as never repaired: incomplete seconds never count as complete."""
    coverage = Coverage()
    coverage.known_from(0)
    for second in range(MAX_GAPS + 1):
        coverage.open_gap("kraken", second * 10 * SECOND, (second * 10 + 5) * SECOND)
    for second in range(MAX_GAPS + 1):
        coverage.close_gap("kraken", second * 10 * SECOND, (second * 10 + 5) * SECOND)
    assert coverage.complete_since_s == 6


def test_the_bound_holds_before_the_start_is_known() -> None:
    """The dropped gap makes all seconds up to its end incomplete, once the start is known."""
    coverage = Coverage()
    for second in range(MAX_GAPS + 3):
        coverage.open_gap("kraken", second * 10 * SECOND, (second * 10 + 5) * SECOND)
    assert len(coverage._gaps) <= MAX_GAPS
    coverage.known_from(0)
    for second in range(MAX_GAPS + 3):
        coverage.close_gap("kraken", second * 10 * SECOND, (second * 10 + 5) * SECOND)
    assert coverage.complete_since_s == 26
