"""Real recordings of Binance's futures: published events compared with an independent reading of the same frames."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any, Final

import pytest

from crosstape_schemas import Book, Candle, Gap, Quote, Trade
from tests.connector.venues.test_recordings import CORPUS, frames, grouped, header, normalized, spelled

pytestmark = [
    pytest.mark.skipif(not CORPUS, reason="CROSSTAPE_CORPUS is not set: the recordings are not part of this project"),
    pytest.mark.slow,
]
USDM, BURST, FOUR = "binance_usdm_btcusdt_20240808", "binance_usdm_btcusdt_20220811", "cryptofeed_binance_futures"
COINM, SPOT_FOUR = "binance_coinm_btcusd_perp_20240808", "cryptofeed_binance"
FIRST, END = 1_723_161_257 * 10**9, 1_723_161_599 * 10**9
"""23:54:17 to 23:59:59 by receive time."""
divide: Final = Context(prec=28).divide


def data(name: str, kind: str) -> list[tuple[int | None, dict[str, Any]]]:
    """Receive time and data of all frames of an event type."""
    return [(at, frame["data"]) for at, frame in frames(name) if frame["data"].get("e") == kind]


def base(name: str, contracts: str, price: str) -> Decimal:
    """A size in base units, by hand: contracts of COIN-M's BTC are 100 USD each."""
    return divide(Decimal(contracts) * 100, Decimal(price)) if name == COINM else Decimal(contracts)


@pytest.mark.parametrize("name", grouped((USDM,), (BURST,), (FOUR,), (COINM,)))
def test_every_frame_is_used(name: str) -> None:
    """No frame is unknown or malformed, no book breaks, and no trade is missed or published twice."""
    events, summary = normalized(name)

    assert summary.frames == sum(1 for _ in frames(name))
    assert summary.unhandled == {}
    assert summary.odd == {}
    assert summary.unwanted == summary.duplicates == 0
    for bad in ("crossed", "holes", "impossible", "refused", "unproven"):
        assert summary.proofs[bad] == 0
    assert not [event for event in events if isinstance(event, Gap)]
    assert {event.venue for event in events} == {header(name)}


@pytest.mark.parametrize(("name", "kind", "count"), grouped((USDM, "trade", 21_313), (BURST, "trade", 1_326), (FOUR, "aggTrade", 91)))
def test_trades_are_all_there_to_the_digit(name: str, kind: str, count: int) -> None:
    """Number, price, size, taker's side and time of each, in order."""
    number = "t" if kind == "trade" else "a"
    expected = [
        (f"{d['s'].removesuffix('USDT')}-USDT-PERP", str(d[number]), d["p"], d["q"], "sell" if d["m"] else "buy", d["T"] * 1_000_000)
        for _, d in data(name, kind)
    ]
    trades = [event for event in normalized(name)[0] if isinstance(event, Trade)]

    assert len(expected) == count
    assert [spelled(trade) for trade in trades] == expected


@pytest.mark.xdist_group(COINM)
def test_contracts_are_turned_into_coins() -> None:
    """Of COIN-M, with 28 digits; all else of a trade is the venue's."""
    expected = [
        ("BTC-USD-PERP", str(d["t"]), d["p"], base(COINM, d["q"], d["p"]), "sell" if d["m"] else "buy", d["T"] * 1_000_000)
        for _, d in data(COINM, "trade")
    ]
    trades = [event for event in normalized(COINM)[0] if isinstance(event, Trade)]

    assert len(expected) == 5_235
    assert [(*spelled(trade)[:3], trade.size, *spelled(trade)[4:]) for trade in trades] == expected


@pytest.mark.parametrize(
    ("name", "count", "volume", "mean"), grouped((USDM, 21_254, "2420.0790", "61680.5251"), (COINM, 2_284, "134.9343", "61685.5709"))
)
def test_volume_and_mean_price_of_a_window(name: str, count: int, volume: str, mean: str) -> None:
    """As others counted them: market trades only."""
    trades = [event for event in normalized(name)[0] if isinstance(event, Trade) and FIRST <= event.received_ts < END]
    size = sum((trade.size for trade in trades), Decimal(0))

    assert len(trades) == count
    assert round(size, 4) == Decimal(volume)
    assert round(sum(trade.price * trade.size for trade in trades) / size, 4) == Decimal(mean)


@pytest.mark.parametrize(("name", "links", "bridged"), grouped((USDM, 6_550, 1), (BURST, 205, 1), (FOUR, 760, 4), (COINM, 44_794, 1)))
def test_books_are_linked_from_their_snapshot_on(name: str, links: int, bridged: int) -> None:
    """Each update names the one before, and the snapshot lies within one."""
    proofs = normalized(name)[1].proofs

    assert (proofs["links"], proofs["bridged"], proofs["snapshots"]) == (links, bridged, bridged)


@pytest.mark.parametrize(("name", "count"), grouped((USDM, 629), (FOUR, 50), (COINM, 1_885)))
def test_books_have_the_venues_own_best_bid_and_ask(name: str, count: int) -> None:
    """Where `bookTicker` has the number that a book ends at, price and size of both sides are the same."""
    best = {
        (d["s"].split("_")[0].removesuffix("USDT").removesuffix("USD"), d["u"]): (
            Decimal(d["b"]), base(name, d["B"], d["b"]), Decimal(d["a"]), base(name, d["A"], d["a"]),
        )
        for _, d in data(name, "bookTicker")
    }  # fmt: skip
    compared = 0
    for event in normalized(name)[0]:
        if isinstance(event, Book) and (theirs := best.get((event.instrument.split("-")[0], event.sequence or 0))):
            assert (*event.bids[0], *event.asks[0]) == theirs
            compared += 1
    assert compared == count


@pytest.mark.parametrize(("name", "count"), grouped((USDM, 66_089), (FOUR, 613), (COINM, 48_355)))
def test_quotes_are_those_of_the_venue(name: str, count: int) -> None:
    """One for one, with the matching engine's time."""
    expected = [
        (at, d["T"] * 1_000_000, Decimal(d["b"]), base(name, d["B"], d["b"]), Decimal(d["a"]), base(name, d["A"], d["a"]))
        for at, d in data(name, "bookTicker")
    ]
    ours = [
        (q.received_ts, q.venue_ts, q.bid_price, q.bid_size, q.ask_price, q.ask_size) for q in normalized(name)[0] if isinstance(q, Quote)
    ]

    assert len(expected) == count
    assert ours == expected


@pytest.mark.parametrize(("name", "count"), grouped((FOUR, 67), (SPOT_FOUR, 2)))
def test_candles_are_those_of_the_venue(name: str, count: int) -> None:
    """One for one, with their figures and the venue's flag."""
    expected = [frame["k"] for _, frame in data(name, "kline")]
    candles = [event for event in normalized(name)[0] if isinstance(event, Candle)]

    assert len(expected) == count
    for ours, theirs in zip(candles, expected, strict=True):
        assert (ours.instrument.replace("-PERP", "").replace("-", ""), ours.timeframe) == (theirs["s"], theirs["i"])
        assert (ours.open_ts, ours.close_ts) == (theirs["t"] * 1_000_000, theirs["T"] * 1_000_000 + 1_000_000)
        figures = (ours.open, ours.high, ours.low, ours.close, ours.volume, ours.quote_volume, ours.taker_buy_volume)
        assert figures == tuple(Decimal(theirs[name]) for name in "ohlcvqV")
        assert (ours.trades, ours.closed, ours.revision) == (theirs["n"], theirs["x"], 0)
