"""Cookies of browsers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosstape_gateway.access.sessions import cookie_of, holder
from crosstape_gateway.access.tokens import Reader

ALICE = Reader("alice.b", "alice-0123456789abcdef")
READERS = {"alice.b": ALICE, "bob": Reader("bob", "bob-0123456789abcdef")}


def test_a_session_is_its_readers_until_it_ends() -> None:
    """The end is signed with the name."""
    cookie = cookie_of(ALICE, 1_000)

    assert holder(cookie, READERS, 999.9) is ALICE
    assert holder(cookie, READERS, 1_000) is None


def test_a_session_ends_with_its_token() -> None:
    """Also when the name stays and only the token is another one; on another gateway with the same token it is good."""
    cookie = cookie_of(ALICE, 1_000)

    assert holder(cookie, {"bob": READERS["bob"]}, 0) is None
    assert holder(cookie, {"alice.b": Reader("alice.b", "another-0123456789abcdef")}, 0) is None
    assert holder(cookie, {"alice.b": Reader("alice.b", "alice-0123456789abcdef")}, 0) is not None


@given(at=st.integers(min_value=0, max_value=200), other=st.characters(min_codepoint=33, max_codepoint=126))
def test_no_changed_cookie_counts(at: int, other: str) -> None:
    """Name, end and signature belong together."""
    cookie = cookie_of(ALICE, 1_000)
    at %= len(cookie)
    changed = cookie[:at] + other + cookie[at + 1 :]

    assert changed == cookie or holder(changed, READERS, 0) is None


@given(text=st.text(max_size=200))
def test_any_text_is_no_session(text: str) -> None:
    """And is no error either."""
    assert holder(text, READERS, 0) is None
