"""The newest ids of an instrument."""

from __future__ import annotations

from crosstape_connector.feeds.trades.recent_ids import RecentIds


def test_the_oldest_id_is_forgotten_first() -> None:
    """One that comes again is remembered once, where it was."""
    recent = RecentIds[str](2)

    assert [recent.add(one) for one in ("a", "b", "a", "c", "d")] == [None, None, None, "a", "b"]
    assert [one in recent for one in "abcd"] == [False, False, True, True]

    recent.clear()
    assert "d" not in recent
    assert [recent.add(one) for one in ("x", "y", "z")] == [None, None, "x"]
