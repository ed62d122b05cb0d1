"""Reading the query of a request."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_gateway.errors import RequestError
from crosstape_gateway.rest.parameters import Parameters, time_of

LARGEST = 2**63 - 1
ZONES = st.integers(min_value=-14 * 60, max_value=14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
MOMENTS = st.datetimes(min_value=dt.datetime(1971, 1, 1), max_value=dt.datetime(2200, 1, 1), timezones=ZONES)  # noqa: DTZ001  # zones are given
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@given(ts=st.integers(min_value=10**17, max_value=LARGEST))
def test_a_whole_number_is_ns(ts: int) -> None:
    """No digit is lost."""
    assert time_of(str(ts), "from_ts") == ts


@given(moment=MOMENTS, nanos=st.integers(min_value=0, max_value=999), plus=st.sampled_from("+ "))
def test_iso_8601_is_exact_to_the_ns(moment: dt.datetime, nanos: int, plus: str) -> None:
    """With any zone, and with the plus sign that a query turns into a space."""
    text = moment.isoformat(timespec="microseconds")
    text = f"{text[:26]}{nanos:03}{text[26:].replace('+', plus)}"
    micros = (moment - EPOCH) // dt.timedelta(microseconds=1)

    assert time_of(text, "from_ts") == micros * 1_000 + nanos


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-30", "2026-11-30T00:00:00Z"),
        ("2026-11-30T12:00", "2026-11-30T12:00:00Z"),
        ("2026-11-30 12:00:00", "2026-11-30T12:00:00Z"),
        ("2026-11-30t12:00:00z", "2026-11-30T12:00:00Z"),
        ("2026-11-30T13:00:00+01", "2026-11-30T12:00:00Z"),
        ("2026-11-30T13:00:00+0100", "2026-11-30T12:00:00Z"),
        ("2026-11-30T12:00:00,5Z", "2026-11-30T12:00:00.500000000Z"),
    ],
)
def test_short_forms_mean_utc(text: str, same: str) -> None:
    """What is left out is zero."""
    assert time_of(text, "x") == time_of(same, "x")


@given(text=st.text(max_size=80))
def test_any_text_is_a_time_or_an_error_that_names_the_parameter(text: str) -> None:
    """Nothing else is raised, and a long value is not repeated as a whole."""
    try:
        ts = time_of(text, "from_ts")
    except RequestError as exc:
        error = exc
    else:
        assert 0 <= ts <= LARGEST
        return
    assert (error.status, error.code) == (400, "bad_time")
    assert str(error).startswith("from_ts = ")


@given(given_names=st.lists(st.tuples(st.text(max_size=70), st.text(max_size=70)), max_size=4))
def test_any_query_is_read_or_refused(given_names: list[tuple[str, str]]) -> None:
    """A name that is not allowed, or that is there twice, is refused with its name."""

    class Query:
        def items(self) -> list[tuple[str, str]]:
            return given_names

    names = [name for name, _ in given_names]
    try:
        read = Parameters(Query(), ("limit", "venue"))
    except RequestError as exc:
        assert exc.status == 400  # noqa: PT017  # the other outcome is right, too
        assert exc.code in ("unknown_parameter", "repeated_parameter")  # noqa: PT017
    else:
        assert set(names) <= {"limit", "venue"}
        assert len(set(names)) == len(names)
        assert read.text("venue") == dict(given_names).get("venue", "").strip()


@pytest.mark.parametrize("text", ["1", "10", "0010"])
def test_a_count_is_a_whole_number_within_its_bounds(text: str) -> None:
    """Its default is no more than what is allowed at most."""
    assert Parameters({"limit": text}, ("limit",)).count("limit", 500, 10) == int(text)
    assert Parameters({}, ("limit",)).count("limit", 500, 10) == 10


@pytest.mark.parametrize("text", ["0", "11", "-1", "+1", "1.0", "1_0", "ten", "٣", "1" * 30])
def test_other_counts_are_refused(text: str) -> None:
    """Digits of other scripts and Python's own spellings, too."""
    with pytest.raises(RequestError, match="expected a whole number from 1 to 10"):
        Parameters({"limit": text}, ("limit",)).count("limit", 5, 10)


@pytest.mark.parametrize("text", ["1-2-3", "-1", "x", "1-", "99999999999999999999", "18446744073709551616-0"])
def test_what_is_no_id_is_refused(text: str) -> None:
    """The bus would answer it with an error of its own."""
    with pytest.raises(RequestError, match=r"after = .*expected an id that an answer gave"):
        Parameters({"after": text}, ("after",)).entry_id("after")


def test_a_query_of_the_library_is_read_as_it_is() -> None:
    """Its names may stand several times."""
    from multidict import MultiDict

    twice: Any = MultiDict([("a", "1"), ("a", "2")])
    with pytest.raises(RequestError, match="a: given more than once"):
        Parameters(twice, ("a",))
