"""What is known to be whole."""

from __future__ import annotations

from crosstape_aggregator.windows.coverage import HOLES, SECOND, Knowledge


def test_nothing_is_whole_before_the_beginning_is_known() -> None:
    """Holes or not."""
    knowledge = Knowledge()
    knowledge.hole("kraken", 5 * SECOND, 6 * SECOND)
    assert knowledge.whole_since_s is None


def test_all_is_whole_after_the_last_hole() -> None:
    """The end of a hole is part of it; the newest end decides."""
    knowledge = Knowledge()
    knowledge.known_from(100)
    assert knowledge.whole_since_s == 100
    knowledge.hole("kraken", 150 * SECOND, 160 * SECOND)
    knowledge.hole("binance", 120 * SECOND, 130 * SECOND)
    assert knowledge.whole_since_s == 161


def test_a_repair_is_of_one_venue_and_of_just_that_gap() -> None:
    """The part of a hole is told with other times, be they in the same second; and a gap within another is not repaired with it."""
    knowledge = Knowledge()
    knowledge.known_from(100)
    knowledge.hole("kraken", 150 * SECOND, 160 * SECOND)
    knowledge.repaired("binance", 150 * SECOND, 160 * SECOND)
    knowledge.repaired("kraken", 150 * SECOND, 160 * SECOND - 1)
    knowledge.repaired("kraken", 140 * SECOND, 170 * SECOND)
    assert knowledge.whole_since_s == 161
    knowledge.repaired("kraken", 150 * SECOND, 160 * SECOND)
    assert knowledge.whole_since_s == 100


def test_holes_that_no_window_reaches_are_forgotten() -> None:
    """They no longer matter."""
    knowledge = Knowledge()
    knowledge.known_from(100)
    knowledge.hole("kraken", 150 * SECOND, 160 * SECOND)
    knowledge.forget(160)
    assert len(knowledge._holes) == 1
    knowledge.forget(161)
    assert len(knowledge._holes) == 0


def test_the_number_of_holes_is_bounded() -> None:
    """The oldest then counts as never to be repaired: never more is called whole than is."""
    knowledge = Knowledge()
    knowledge.known_from(0)
    for second in range(HOLES + 1):
        knowledge.hole("kraken", second * 10 * SECOND, (second * 10 + 5) * SECOND)
    for second in range(HOLES + 1):
        knowledge.repaired("kraken", second * 10 * SECOND, (second * 10 + 5) * SECOND)
    assert knowledge.whole_since_s == 6


def test_the_bound_holds_before_the_beginning_is_known() -> None:
    """The oldest hole that is let go moves the beginning once there is one."""
    knowledge = Knowledge()
    for second in range(HOLES + 3):
        knowledge.hole("kraken", second * 10 * SECOND, (second * 10 + 5) * SECOND)
    assert len(knowledge._holes) <= HOLES
    knowledge.known_from(0)
    for second in range(HOLES + 3):
        knowledge.repaired("kraken", second * 10 * SECOND, (second * 10 + 5) * SECOND)
    assert knowledge.whole_since_s == 26
