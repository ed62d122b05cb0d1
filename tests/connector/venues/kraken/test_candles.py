"""Kraken's candles, on the stream and by REST."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from crosstape_connector.errors import FRAME_ERRORS, FrameError, UnknownFrame
from crosstape_connector.venues.kraken import VENUE, candles
from crosstape_connector.venues.messages import CandleSnapshot, Odd, Output, Unreadable
from crosstape_connector.venues.spec import Request
from crosstape_schemas import TIMEFRAMES, Candle
from tests.connector.venues.golden import answers_of, frames_of, symbols_of

FRAMES = frames_of("kraken")
NAMES = symbols_of("kraken")
BTC = NAMES["BTC/USD"]
START = 1_767_225_600 * 10**9
MINUTE = 60 * 10**9


def parsed(frame: bytes) -> list[Output]:
    """What a frame becomes on a new connection."""
    return list(VENUE.endpoints[0].parser(NAMES)(frame, 7))


def test_a_candle_is_identified_by_its_beginning() -> None:
    """The `timestamp` in its row is its end; the frame's own is when it was sent."""
    first, second = parsed(FRAMES["ohlc"])
    assert isinstance(first, Candle)
    assert (first.timeframe, first.open_ts, first.close_ts) == ("1m", START + 11 * MINUTE, START + 12 * MINUTE)
    assert first.venue_ts == START + 11 * MINUTE + 30_524_394_914
    assert isinstance(second, Candle)
    assert (second.instrument, second.volume, second.trades) == ("DOGE-USD", Decimal("30927.68066226"), 12)
    assert second.quote_volume is None, "vwap is rounded: volume × vwap would not be exact"
    assert not second.closed


def test_a_snapshot_is_in_order_whatever_the_venues_order() -> None:
    """One for each symbol and timeframe."""
    frame = msgspec.json.decode(FRAMES["ohlc_snapshot"])
    frame["data"].reverse()
    for data in (FRAMES["ohlc_snapshot"], msgspec.json.encode(frame)):
        (found,) = parsed(data)
        assert isinstance(found, CandleSnapshot)
        assert [one.open_ts for one in found.candles] == [START, START + 5 * MINUTE]
    frame["data"][0]["interval"] = 15
    assert [one.timeframe for one in parsed(msgspec.json.encode(frame)) if isinstance(one, CandleSnapshot)] == ["15m", "5m"]


@pytest.mark.parametrize("change", ['"low":91001.5', '"high":"NaN"', '"open":-1', '"volume":-0.1', '"close":null', '"trades":-1'])
def test_a_row_whose_figures_contradict_each_other_is_left_out(change: str) -> None:
    """What is on the tape of its candle is out of date; the row beside it is used."""
    name = change.partition(":")[0]
    frame = FRAMES["ohlc"].decode()
    at = frame.index(f"{name}:")
    broken = frame[:at] + change + frame[frame.index(",", at) :]
    odd, unread, other = parsed(broken.encode())
    assert isinstance(odd, Odd)
    assert unread == Unreadable("candle:1m", "BTC-USD", 7)
    assert isinstance(other, Candle)
    assert other.instrument == "DOGE-USD"


@pytest.mark.parametrize("interval", [10080, 21600, 7])
def test_an_interval_that_is_not_ours_is_unknown(interval: int) -> None:
    """It is counted as what we do not read, and no feed suffers."""
    frame = FRAMES["ohlc_snapshot"].replace(b'"interval":5', b'"interval":%d' % interval)
    with pytest.raises(UnknownFrame):
        parsed(frame)


def test_a_subscription_names_its_interval() -> None:
    """Unsubscribing repeats it; the acknowledgement of each interval is that channel's."""
    for verb in ("subscribe", "unsubscribe"):
        request = Request(VENUE.endpoints[0].channels["candle:4h"], ("BTC/USD",), 3, 10)
        made = msgspec.json.decode(getattr(VENUE.endpoints[0], verb)(request))
        assert made["params"]["channel"] == "ohlc"
        assert made["params"]["interval"] == 240
        assert made["params"]["symbol"] == ["BTC/USD"]
    (ack,) = parsed(FRAMES["ack_ohlc"])
    assert getattr(ack, "channel", None) == VENUE.endpoints[0].channels["candle:5m"]


def test_weeks_from_thursday_are_refused() -> None:
    """And every timeframe that is had has a channel."""
    assert VENUE.candles is not None
    assert "Thursday" in VENUE.candles.refused["1w"]
    assert VENUE.candles.timeframes.keys() <= set(TIMEFRAMES)
    assert {f"candle:{name}" for name in VENUE.candles.timeframes} <= VENUE.endpoints[0].channels.keys()


def test_a_page_reaches_back_to_what_is_wanted() -> None:
    """`since` excludes what it names: it is an interval earlier."""
    assert candles.path("BTC/USD", "5m", START) == f"/0/public/OHLC?pair=XBTUSD&interval=5&since={(START - 5 * MINUTE) // 10**9}"
    assert candles.path("BTC/USD", "1d", 0).endswith("since=0")


def test_an_answer_that_is_not_of_one_pair_is_refused() -> None:
    """It would be another market's. A row that cannot be read harms no other."""
    body = answers_of("kraken")["candles"]
    with pytest.raises(FrameError, match="not one pair"):
        candles.parse(b'{"error":[],"result":{"A":[],"B":[]}}', BTC, "1m", 7)
    with pytest.raises(FRAME_ERRORS):
        candles.parse(b'{"error":["EGeneral:Too many requests"]}', BTC, "1m", 7)
    found = candles.parse(body.replace(b'"90999.0"', b'"x"'), BTC, "1m", 7)
    assert [one.open_ts for one in found.candles] == [START + MINUTE, START + 2 * MINUTE]
    assert len(found.odd) == 1
