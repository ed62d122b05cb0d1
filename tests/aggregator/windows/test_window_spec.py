"""The names of windows."""

from __future__ import annotations

import pytest

from crosstape.errors import SettingsError
from crosstape_aggregator.windows.window_spec import DAY_S, WindowSpec, earliest, parse, parse_all


@pytest.mark.parametrize(("name", "length_s"), [("30s", 30), ("1m", 60), ("5m", 300), ("4h", 14_400), ("24h", 86_400), ("1d", None)])
def test_a_window_is_a_number_and_a_unit(name: str, length_s: int | None) -> None:
    """Seconds, minutes and hours roll; `1d` is the UTC day."""
    assert parse(name) == WindowSpec(name, length_s)


@pytest.mark.parametrize("name", ["", "m", "0m", "05m", "1.5m", "-1m", "2d", "25h", "1w", "1m ", "1M", "99999999s"])
def test_anything_else_is_an_error_that_names_the_setting(name: str) -> None:
    """A wrong window stops the start."""
    with pytest.raises(SettingsError, match=r"aggregator\.windows"):
        parse(name)


def test_a_rolling_window_starts_its_length_before_the_second_under_way() -> None:
    """A window has N seconds that are over, and the present one."""
    assert parse("1m").start(1_000) == 940


def test_the_day_starts_at_midnight() -> None:
    """The day is a UTC day."""
    assert {parse("1d").start(3 * DAY_S + second) for second in (0, 1, DAY_S - 1)} == {3 * DAY_S}


def test_windows_come_in_order_and_once() -> None:
    """The order in the quote is that of the settings."""
    assert [spec.name for spec in parse_all(["5m", "1d", "5m", "1m"])] == ["5m", "1d", "1m"]


def test_the_earliest_start_is_what_has_to_be_read() -> None:
    """After a restart, trades are read from this second on."""
    at = 3 * DAY_S + 600
    assert earliest(parse_all(["1m", "1h", "1d"]), at) == at - 3_600
    assert earliest(parse_all(["1m", "1d"]), at) == 3 * DAY_S
    assert earliest([], at) == at
