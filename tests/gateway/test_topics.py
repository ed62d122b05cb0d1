"""Topics: what a client may follow, and what is said of a text that is none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_gateway.errors import RequestError
from crosstape_gateway.topics import MAX_LENGTH, Topic


@pytest.mark.parametrize(
    "text",
    [
        "cbbo:BTC-USDT",
        "bar:1m:BTC-USDT",
        "bar:1m:BTC-USDT@binance",
        "cbbo:*",
        "candle:1M:*@kraken",
        "venue:kraken",
        "venue:*",
        "cbbo:BTC-USD*",
        "cbbo:BTC/USDT:USDT",
        "bar:1m:BTC/USDT:USDT@binance",
        "trade:BTC/USDT:USDT-261225",
    ],
)
def test_a_topic_is_written_as_it_was_read(text: str) -> None:
    """Its text is its own."""
    assert str(Topic.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        ("", "bad_topic", "KIND:INSTRUMENT"),
        ("cbbo", "bad_topic", "'cbbo'"),
        ("cbbo:", "bad_topic", "'cbbo:'"),
        ("cbbo:A@", "bad_topic", "'cbbo:A@'"),
        ("quotes:A", "unknown_kind", "'quotes'"),
        ("bar:A", "unknown_timeframe", "bar:1m:BTC-USDT"),
        ("bar:7m:A", "unknown_timeframe", "1s, 1m"),
        ("cbbo:1m:A", "bad_topic", "cbbo:INSTRUMENT"),
        ("venue:kraken@kraken", "bad_topic", "venue:VENUE"),
        ("cbbo:Ä", "bad_topic", "KIND"),
        ("cbbo:A\n", "bad_topic", "KIND"),
        ("cbbo:" + "A" * MAX_LENGTH, "bad_topic", "KIND"),
    ],
)
def test_a_text_that_is_no_topic(text: str, code: str, part: str) -> None:
    """The error says which part is wrong."""
    with pytest.raises(RequestError) as raised:
        Topic.parse(text)

    assert raised.value.code == code
    assert part in str(raised.value)
    assert len(str(raised.value)) < 400


@given(st.text(max_size=120))
def test_any_text_is_a_topic_or_an_error_for_the_client(text: str) -> None:
    """Nothing else is raised."""
    topic = None
    with contextlib.suppress(RequestError):
        topic = Topic.parse(text)

    assert topic is None or str(topic) == text


def test_a_pattern_includes_each_instrument_of_its_kind_alone() -> None:
    """The name of a composite is no pattern."""
    assert Topic.parse("cbbo:*").includes("cbbo", "BTC-USDT")
    assert not Topic.parse("cbbo:*").includes("trade", "BTC-USDT")
    assert not Topic.parse("cbbo:BTC-USD*").is_pattern
