"""A panel of the Grafana dashboard, and the forms of query that panels share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

RATE: Final = "$__rate_interval"

Query = tuple[str, str]
"""PromQL, and the legend."""
Steps = Sequence[tuple[float | None, str]]
"""From which value on which colour; the first from None."""


class Panel(NamedTuple):
    """One picture."""

    title: str
    description: str
    unit: str
    queries: Sequence[Query]
    width: int = 8
    height: int = 8
    """In columns, of 24; and in rows."""
    shape: Literal["lines", "bars", "heatmap", "legs", "states", "matrix", "alerts"] = "lines"
    steps: Steps = ((None, "green"),)
    no_value: str = ""


def per_second(metric: str, by: str, where: str = "") -> str:
    """A counter's rate."""
    return f'sum by ({by}) (rate({metric}{{tape="$tape"{where}}}[{RATE}]))'


def counted(metric: str, by: str, where: str = "") -> str:
    """A counter's steps, in whole numbers as far as Prometheus has them."""
    return f'sum by ({by}) (increase({metric}{{tape="$tape"{where}}}[{RATE}]))'


def buckets(metric: str, where: str = "") -> list[Query]:
    """A histogram as a heatmap shows it."""
    return [(f'sum by (le) (increase({metric}_bucket{{tape="$tape"{where}}}[{RATE}]))', "{{le}}")]


def quantile(share: str, metric: str, where: str = "") -> str:
    """So much of a histogram is at or below this."""
    return f'histogram_quantile({share}, sum by (le) (rate({metric}_bucket{{tape="$tape"{where}}}[{RATE}])))'
