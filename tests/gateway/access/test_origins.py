"""Hosts and origins of browsers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_gateway.access.origins import host_of, is_listed, is_loopback, is_own, origin_mistake


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"])
def test_loopback_names_are_this_machine(host: str) -> None:
    """In every spelling that a browser sends."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "10.0.0.1", "::", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost", "2130706433"],
)
def test_other_names_are_not(host: str) -> None:
    """Also those that look like it."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("localhost:8090", "localhost"),
        ("Desk.Example", "desk.example"),
        ("[::1]:8090", "[::1]"),
        ("desk.example.", "desk.example"),
        ("a:b@c", ""),
        ("localhost:8090:1", ""),
        ("localhost/x", ""),
        ("", ""),
    ],
)
def test_the_host_of_a_header_is_without_its_port(header: str, host: str) -> None:
    """What is no host is empty, and so known to nobody."""
    assert host_of(header) == host


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        ("http://localhost:8090", "localhost:8090", True),
        ("https://desk.example", "desk.example", True),
        ("https://desk.example", "desk.example:443", True),
        ("http://desk.example:80", "desk.example", True),
        ("https://Desk.example", "desk.EXAMPLE", True),
        ("http://localhost:8090", "localhost:8091", False),
        ("http://localhost", "localhost:8090", False),
        ("http://evil.example", "localhost:8090", False),
        ("http://localhost:8090.evil.example", "localhost:8090", False),
        ("null", "localhost:8090", False),
        ("http://[", "localhost:8090", False),
        ("file://", "", False),
        ("", "", False),
    ],
)
def test_a_page_is_our_own_if_host_and_port_are_the_same(origin: str, host: str, expected: bool) -> None:
    """The scheme may differ: a proxy in front of us may have the certificate."""
    assert is_own(origin, host) is expected


def test_an_origin_is_listed_by_its_name() -> None:
    """With or without the default port; the star stands for none."""
    allowed = ("https://desk.example", "http://localhost:3000", "*")

    assert is_listed("https://desk.example:443", allowed)
    assert is_listed("https://DESK.example", allowed)
    assert is_listed("http://localhost:3000", allowed)
    assert not is_listed("http://desk.example", allowed)
    assert not is_listed("https://desk.example.evil", allowed)
    assert not is_listed("null", allowed)
    assert not is_listed("*", allowed)


@pytest.mark.parametrize(
    "origin", ["desk.example", "https://desk.example/", "https://a b", "ftp://desk.example", "https://", "http://[", "null", ""]
)
def test_what_is_no_origin_is_a_mistake_of_the_settings(origin: str) -> None:
    """It would never match, and nobody would know why."""
    assert "expected an origin" in origin_mistake(origin)
    assert origin_mistake("https://desk.example:8443") == origin_mistake("*") == ""


@given(origin=st.text(max_size=60), host=st.text(max_size=60))
def test_any_text_is_answered(origin: str, host: str) -> None:
    """No header makes these fail."""
    assert is_own(origin, host) in (True, False)
    assert is_listed(origin, (host,)) in (True, False)
    assert isinstance(host_of(host), str)
