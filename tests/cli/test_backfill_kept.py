"""`crosstape backfill` beside a recorder that deletes old days."""

from __future__ import annotations

import pytest

from crosstape_cli.backfill import short_lived

DAY = 86_400 * 10**9
NOW = 20_000 * DAY + 5


@pytest.mark.parametrize(
    ("keep_days", "from_ts", "is_said"),
    [(0, 0, False), (1, NOW - 3 * DAY, True), (1, NOW - DAY, False), (30, NOW - 3 * DAY, False), (30, NOW - 31 * DAY, True)],
)
def test_days_that_will_be_deleted_are_named_before_they_are_fetched(keep_days: int, from_ts: int, is_said: bool) -> None:
    """Else hours of fetching are gone a minute later, without a word."""
    note = short_lived(keep_days, from_ts, NOW)

    assert bool(note) == is_said
    assert (f"recorder.keep_days = {keep_days}" in note) == is_said
