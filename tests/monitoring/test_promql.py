"""Metric names are distinguished from functions, words and values."""

from __future__ import annotations

import pytest

from tests.monitoring.promql import names


@pytest.mark.parametrize(
    ("expr", "metrics", "lists"),
    [
        ("up == 0", {"up": set()}, set()),
        (
            'sum by (venue, le) (rate(a_bucket{hop="x{y}",tape=~"$tape"}[$__rate_interval])) > 5m',
            {"a_bucket": {"hop", "tape"}},
            {"venue", "le"},
        ),
        ("max by (a) (x:y:z) / (x:y:z > 0) unless on (b) c offset 5m", {"x:y:z": set(), "c": set()}, {"a", "b"}),
        ("clamp_min(sum(x{}) , 1e-3) == bool 0 and vector(1)", {"x": set()}, set()),
        ('x{a!="1", b!~"2"} or y{c="3"}', {"x": {"a", "b"}, "y": {"c"}}, set()),
    ],
)
def test_names_are_found(expr: str, metrics: dict[str, set[str]], lists: set[str]) -> None:
    """All metrics, with the labels that select them."""
    assert names(expr) == (metrics, lists)


def test_what_is_not_understood_is_an_error() -> None:
    """An unknown word is not skipped."""
    with pytest.raises(ValueError, match="not understood"):
        names("up ; drop")
