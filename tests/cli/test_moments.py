"""Times on the command line."""

from __future__ import annotations

import pytest
from cyclopts import App
from hypothesis import given
from hypothesis import strategies as st

from crosstape.errors import SettingsError
from crosstape_cli.moments import LATEST_TS, From, To, iso, moment, span

NOW = 1_764_510_000_123_456_789
HOUR = 3_600 * 10**9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-11-30", 1_764_460_800 * 10**9),
        ("2025-11-30T13:40", 1_764_510_000 * 10**9),
        ("2025-11-30T13:40:00.123456789Z", NOW),
        ("2025-11-30 13:40:00,5", 1_764_510_000 * 10**9 + 500_000_000),
        ("2025-11-30T15:40:00+02:00", 1_764_510_000 * 10**9),
        ("now", NOW),
        ("-1h", NOW - HOUR),
        ("-2d12h", NOW - 60 * HOUR),
        ("+90s", NOW + 90 * 10**9),
        (str(NOW), NOW),
        ("0", 0),
    ],
)
def test_a_time_is_iso_or_ns_or_relative(text: str, expected: int) -> None:
    """Without a zone it is UTC; all nine digits of a second count."""
    assert moment(text, NOW, "--from") == expected


@pytest.mark.parametrize(
    "text", ["", "-", "-1x", "-h", "-1h2d", "1764510000", "yesterday", "2025-13-01", "2025-11-30T25:00", "-99999d", "9" * 20]
)
def test_what_names_no_time_is_refused_with_the_option(text: str) -> None:
    """Seconds and milliseconds are not taken for ns: nobody means January 1970."""
    with pytest.raises(SettingsError, match=r"^--to "):
        moment(text, NOW, "--to")


def test_a_span_ends_after_it_begins() -> None:
    """`--to` is now by default."""
    assert span("-1h", None, NOW) == (NOW - HOUR, NOW)
    assert span(None, "now", NOW) == (None, NOW)
    with pytest.raises(SettingsError, match="is not before"):
        span("now", "-1h", NOW)


@given(st.integers(0, LATEST_TS))
def test_a_time_as_text_comes_back(ts: int) -> None:
    """What `iso` prints, `moment` reads."""
    assert moment(iso(ts), NOW, "--from") == ts


def test_a_relative_time_is_no_option() -> None:
    """`--from -1h` works as `--from=-1h` does."""
    app = App(result_action="return_value")

    @app.command
    def show(*, from_: From = None, to: To = None) -> tuple[str | None, str | None]:
        return from_, to

    assert app(["show", "--from", "-1h", "--to", "-5m"], exit_on_error=False) == ("-1h", "-5m")
    assert app(["show", "--from=-1h"], exit_on_error=False) == ("-1h", None)
