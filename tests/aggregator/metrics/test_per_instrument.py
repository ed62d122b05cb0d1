"""Each instrument's spread and each leg's state, as Prometheus reads them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.metrics.per_instrument import CODES, EXCLUDED, GAUGES, SPREAD, InstrumentText
from crosstape_schemas import VENUE_WIDE, Exclusion, FeedState
from tests.aggregator.builders import T0, S, X, engine, quote, status


def values(*engines: Engine) -> dict[tuple[str, ...], float]:
    """(metric, its labels) → value; both forms of the text say the same."""
    text = InstrumentText(lambda: engines)()
    families = list(parse(text))
    assert [(family.name, family.type) for family in families] == [(SPREAD, "gauge"), (EXCLUDED, "gauge")]
    again = list(parse_open(f"{text}# EOF\n"))  # type: ignore[no-untyped-call]
    assert [family.samples for family in again] == [family.samples for family in families]
    return {
        (sample.name, *(sample.labels[label] for label in GAUGES[sample.name].labels)): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_leg_says_why_it_does_not_count() -> None:
    """Each reason is a number, and 0 means that the leg counts. The spread is that of the consolidated quote."""
    one = engine()
    one.apply([quote("m", "100", "101"), quote("n", "99", "102"), quote("o", "5", "4")], T0)
    one.apply([status("n", FeedState.DOWN, T0)], T0)
    one.due(T0)

    assert values(one) == {
        (SPREAD, X): 99.5025,
        (EXCLUDED, X, "m"): 0,
        (EXCLUDED, X, "n"): CODES[Exclusion.STATE],
        (EXCLUDED, X, "o"): CODES[Exclusion.CROSSED],
    }


def test_a_spread_that_is_none_is_not_said() -> None:
    """There is no series of the spread if a side is missing."""
    one = engine()
    one.apply([quote("m", "100", None)], T0)
    one.due(T0)
    assert values(one) == {(EXCLUDED, X, "m"): 0}

    one.apply([quote("m", "100", "101", T0 + 1)], T0 + S)
    one.due(T0 + S)
    assert (SPREAD, X) in values(one)

    one.apply([status("m", FeedState.DOWN, T0 + S)], T0 + 2 * S)
    one.due(T0 + 2 * S)
    assert (SPREAD, X) not in values(one)


def test_legs_that_nobody_waits_for_are_left_out() -> None:
    """Left out: legs that the venue refuses, and legs without a price since the start of their connector (settings may have changed)."""
    one = engine()
    one.apply([status("m", FeedState.DOWN, T0, kind="*"), quote("n", "100", "101")], T0)
    one.due(T0)
    assert (EXCLUDED, X, "m") not in values(one)
    assert (EXCLUDED, X, "n") in values(one)

    one.apply([quote("n", "1", "2", T0 + 1, epoch=2, instrument="OTHER-USD")], T0 + 1)
    one.due(T0 + S)
    assert (EXCLUDED, X, "n") not in values(one)


def test_all_engines_are_read() -> None:
    """The engines that exist at the time of the scrape are read."""
    first, second = engine(), engine()
    first.apply([quote("m", "1", "2", instrument="A-USD")], T0)
    second.apply([quote("m", "1", "2", instrument="B-USD")], T0)

    assert {key[1] for key in values(first, second)} == {"A-USD", "B-USD"}
    assert values() == {}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10).filter(lambda name: name != VENUE_WIDE))
def test_any_name_is_one_label(name: str) -> None:
    """Names come from the bus: no name can break a line of the text."""
    one = engine()
    one.apply([quote("m", "1", "2", instrument=name)], T0)
    one.due(T0)
    text = InstrumentText(lambda: [one])()

    assert len(text.split("\n")) == 4 + 2 + 1
