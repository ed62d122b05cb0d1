"""Requests and streams of each address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_gateway.access import limits
from crosstape_gateway.access.limits import RequestRate, StreamCount, address_of


@given(
    per_s=st.floats(min_value=0.1, max_value=1_000),
    gaps_s=st.lists(st.floats(min_value=0, max_value=100, allow_nan=False), min_size=1, max_size=200),
)
def test_an_address_has_no_more_than_its_rate_and_one_burst(per_s: float, gaps_s: list[float]) -> None:
    """In any time, however the requests come."""
    rate, now, served = RequestRate(per_s), 1_000.0, 0
    for gap in gaps_s:
        now += gap
        served += rate.wait_s("a", now) == 0
    assert served <= per_s * (now - 1_000.0) + max(1.0, per_s * limits.BURST_S) + 1e-6


def test_who_waits_as_long_as_told_is_served() -> None:
    """Not before."""
    rate = RequestRate(2)
    assert all(rate.wait_s("a", 0.0) == 0 for _ in range(20))
    assert rate.wait_s("a", 0.0) == pytest.approx(0.5)
    assert rate.wait_s("a", 0.25) == pytest.approx(0.25)
    assert rate.wait_s("b", 0.25) == 0
    assert rate.wait_s("a", 0.501) == 0


def test_a_clock_that_stands_or_goes_back_gives_nothing() -> None:
    """And takes nothing."""
    rate = RequestRate(1)
    assert [rate.wait_s("a", 10.0) == 0 for _ in range(11)] == [True] * 10 + [False]
    assert rate.wait_s("a", 5.0) > 0


def test_addresses_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that asked least recently is forgotten."""
    monkeypatch.setattr(limits, "ADDRESSES", 3)
    rate = RequestRate(0.1)
    assert [rate.wait_s(name, 0.0) == 0 for name in "abcaa"] == [True, True, True, False, False]
    assert rate.wait_s("d", 0.0) == 0
    assert len(rate) == 3
    assert rate.wait_s("a", 0.0) > 0
    assert rate.wait_s("b", 0.0) == 0


def test_streams_are_limited_per_address_and_in_all() -> None:
    """A place is free again when a stream ends."""
    count = StreamCount(3, 2)
    count.open("a")
    count.open("a")
    assert "gateway.clients_per_address" in count.mistake("a")
    assert count.mistake("b") == ""
    count.open("b")
    assert "gateway.clients)" in count.mistake("c")
    count.close("a")
    assert count.mistake("a") == ""
    assert count.total == 2


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
        (None, ""),
        ("socket", "socket"),
    ],
)
def test_a_subscribers_network_is_one_address(remote: str | None, address: str) -> None:
    """A subscriber of IPv6 has a /64 and could come from another address each time."""
    assert address_of(remote) == address
