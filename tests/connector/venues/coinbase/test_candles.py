"""Coinbase's candles: five minutes on Advanced's stream, and by Exchange's REST."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venues.coinbase import VENUE, candles
from crosstape_connector.venues.messages import CandleSnapshot, Odd, Output, Unreadable
from crosstape_schemas import Candle
from tests.connector.venues.golden import answers_of, frames_of, symbols_of

FRAMES = frames_of("coinbase", "advanced")
NAMES = symbols_of("coinbase")
BTC = NAMES["BTC-USD"]
START = 1_767_225_600 * 10**9
FIVE = 300 * 10**9


def parsed(frame: bytes) -> list[Output]:
    """What a frame becomes on a new connection."""
    return list(VENUE.endpoints[0].parser(NAMES)(frame, 7))


def test_a_candle_begins_at_a_text_of_seconds() -> None:
    """Every digit of its prices stays; the venue counts no trades."""
    (found,) = parsed(FRAMES["candles_update"])
    assert isinstance(found, Candle)
    assert (found.timeframe, found.open_ts, found.close_ts) == ("5m", START + FIVE, START + 2 * FIVE)
    assert [str(one) for one in (found.open, found.high, found.low, found.close)] == ["91001", "91003", "91001", "91002.5"]
    assert found.volume == Decimal("0.00000001")
    assert (found.trades, found.quote_volume, found.closed) == (None, None, False)


def test_a_snapshot_is_turned_round() -> None:
    """The venue's order is not relied on."""
    frame = msgspec.json.decode(FRAMES["candles"])
    frame["events"][0]["candles"].reverse()
    for data in (FRAMES["candles"], msgspec.json.encode(frame)):
        (found,) = parsed(data)
        assert isinstance(found, CandleSnapshot)
        assert [one.open_ts for one in found.candles] == [START - FIVE, START]


@pytest.mark.parametrize("change", ['"low":"91004"', '"high":"x"', '"open":"-1"', '"volume":"-1"', '"start":"1e400"', '"close":null'])
def test_a_row_whose_figures_contradict_each_other_is_left_out(change: str) -> None:
    """What is on the tape of its candle is out of date."""
    name = change.partition(":")[0]
    frame = FRAMES["candles_update"].decode()
    at = frame.index(f"{name}:")
    broken = frame[:at] + change + frame[frame.index(",", at) :]
    odd, unread = parsed(broken.encode())
    assert isinstance(odd, Odd)
    assert unread == Unreadable("candle:5m", "BTC-USD", 7)


def test_one_bad_row_of_a_snapshot_harms_no_other() -> None:
    """The rest of it is used."""
    odd, unread, found = parsed(FRAMES["candles"].replace(b'"90999.5"', b'"99999.5"'))
    assert isinstance(odd, Odd)
    assert isinstance(unread, Unreadable)
    assert isinstance(found, CandleSnapshot)
    assert [one.open_ts for one in found.candles] == [START - FIVE]


def test_a_page_has_both_bounds() -> None:
    """One alone is ignored; more than three hundred candles are refused."""
    path = candles.path("BTC-USD", "5m", START)
    assert path == "/products/BTC-USD/candles?granularity=300&start=2026-01-01T00%3A00%3A00Z&end=2026-01-02T00%3A55%3A00Z"


def test_columns_are_low_high_open_close() -> None:
    """Newest first, and not the order of any other venue: swapped columns are seen as a contradiction."""
    body = answers_of("coinbase")["candles"]
    found = candles.parse(body, BTC, "5m", 7)
    assert [one.open_ts for one in found.candles] == [START, START + FIVE]
    first = found.candles[0]
    assert [str(one) for one in (first.low, first.high, first.open, first.close)] == ["90999.5", "91002", "91000.01", "91001"]
    swapped = candles.parse(body.replace(b"90999.5,91002,91000.01,91001", b"91000.01,91002,90999.5,91001"), BTC, "5m", 7)
    assert len(swapped.odd) == 1


@pytest.mark.parametrize("body", [b'{"message":"NotFound"}', b"[[]]", b'[["x"]]', b"[[1767225600,1,2,1]]"])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    """Nothing of it is used."""
    with pytest.raises(FRAME_ERRORS):
        candles.parse(body, BTC, "5m", 7)
