"""The synthetic market, pure: no sockets, no clock."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_simulator.formats import fixed, iso_ns, iso_us, short
from crosstape_simulator.market.book_side import BookSide
from crosstape_simulator.market.market import Market, Move
from crosstape_simulator.spec import VENUES
from crosstape_simulator.venues.archetypes.windows import Window
from crosstape_simulator.venues.registry import default_listings

START_TS = 1_800_000_000 * 10**9
SECOND = 10**9


def market(seed: int = 1, rate: float = 1_000.0, levels: int = 50) -> Market:
    """All venues' pairs."""
    listings = [listing for venue in VENUES for listing in default_listings(venue)]
    return Market(listings, seed=seed, start_ts=START_TS, rate=rate, levels=levels)


def told(move: Move) -> tuple[object, ...]:
    """All that a move tells, to be compared."""
    return move.ts, move.pair.listing, tuple(move.changes), tuple(move.fills)


def test_a_seed_is_a_market() -> None:
    """The same seed and start give the same moves, in whatever steps time goes on; another seed gives others."""
    one = market()
    at_once = [told(move) for move in one.until(START_TS + 2 * SECOND)]
    other = market()
    in_steps = [told(move) for ms in range(1, 2_001, 7) for move in other.until(START_TS + ms * SECOND // 1_000)]
    in_steps += [told(move) for move in other.until(START_TS + 2 * SECOND)]

    assert at_once == in_steps
    assert len(at_once) > 1_500
    assert at_once != [told(move) for move in market(seed=2).until(START_TS + 2 * SECOND)]


def test_books_never_cross_and_changes_tell_all() -> None:
    """After every move a book kept from the changes alone equals the market's, best bid below best ask, no level empty."""
    made = market(rate=5_000.0)
    kept = {key: (dict(pair.bids.levels()), dict(pair.asks.levels())) for key, pair in made.pairs.items()}
    for move in made.until(START_TS + 2 * SECOND):
        listing = move.pair.listing
        bids, asks = kept[listing.venue, listing.symbol]
        for bid, price, size in move.changes:
            (bids if bid else asks)[price] = size
            if not size:
                del (bids if bid else asks)[price]
        assert bids == dict(move.pair.bids.levels())
        assert asks == dict(move.pair.asks.levels())
        assert max(bids) < min(asks)
        assert min(bids) > 0
        assert min(*bids.values(), *asks.values()) > 0


def test_trades_take_what_the_book_holds() -> None:
    """Each fill takes from the best level of its side, and ids rise by one per pair without a hole."""
    made = market(rate=5_000.0)
    before = {key: (pair.bids.levels(), pair.asks.levels()) for key, pair in made.pairs.items()}
    ids = {key: pair.trade_id for key, pair in made.pairs.items()}
    fills = 0
    for move in made.until(START_TS + 2 * SECOND):
        key = (move.pair.listing.venue, move.pair.listing.symbol)
        left: list[tuple[int, int]] = list(before[key][1 if move.fills and move.fills[0].buyer_takes else 0])
        for fill in move.fills:
            price, size = left.pop(0)
            assert fill.price == price
            assert 0 < fill.size <= size
            assert fill.trade_id == ids[key] + 1
            ids[key] += 1
            fills += 1
        before[key] = (move.pair.bids.levels(), move.pair.asks.levels())
    assert fills > 500


def test_venues_trade_around_one_price() -> None:
    """An asset's mids on all venues stay within half a percent of each other, and move."""
    made = market(rate=2_000.0)
    first = {key: pair.asks.keys[0] for key, pair in made.pairs.items()}
    for _ in made.until(START_TS + 60 * SECOND):
        pass
    for base in ("BTC", "ETH", "DOGE"):
        pairs = [pair for pair in made.pairs.values() if pair.listing.base == base and pair.listing.quote == "USDT"]
        mids = [(pair.asks.keys[0] - pair.bids.keys[0]) * 10 ** (10 - pair.listing.price_decimals) // 2 for pair in pairs]
        assert len(mids) == len(VENUES)
        assert (max(mids) - min(mids)) * 200 < min(mids)
    assert first != {key: pair.asks.keys[0] for key, pair in made.pairs.items()}


@given(st.integers(2, 8), st.lists(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 3)), min_size=1, max_size=5), max_size=30))
@settings(deadline=None)
def test_a_client_that_truncates_holds_the_window(depth: int, moves: list[list[tuple[int, int]]]) -> None:
    """Whatever the moves: applying what the window sends and cutting to the depth gives the best `depth` levels."""
    side = BookSide()
    for key in range(1, 12):
        side.set(key, 1)
    window, client = Window(side, depth), dict(side.levels(depth))
    for move in moves:
        changed = dict(move)
        for key, size in changed.items():
            side.set(key, size)
        for key, size in window.changes(changed):
            client[key] = size
            if not size:
                del client[key]
        client = dict(sorted(client.items())[:depth])
        assert client == dict(side.levels(depth))


def test_numbers_and_times_are_written_as_the_venues_write_them() -> None:
    """Exact decimals from integers; micro- and nanoseconds, the latter without zeros at the end."""
    assert [fixed(5, 2), fixed(-5, 2), fixed(123, 0), fixed(1_234_567, 4)] == ["0.05", "-0.05", "123", "123.4567"]
    assert [short(50, 2), short(0, 8), short(100, 0), short(1_200, 2)] == ["0.5", "0", "100", "12"]
    assert iso_us(START_TS + 1_500) == "2027-01-15T08:00:00.000001Z"
    assert iso_ns(START_TS + 35_396_251_350) == "2027-01-15T08:00:35.39625135Z"
    assert iso_ns(START_TS) == "2027-01-15T08:00:00Z"


def test_a_stablecoins_rate_agrees_with_the_pairs_that_it_converts() -> None:
    """USDT-USD is listed only if asked for. What bitcoin costs in USDT, at this rate, is what it costs in USD, to a basis point."""
    assert not any(listing.base == "USDT" for venue in VENUES for listing in default_listings(venue))
    listings = [listing for venue in VENUES for listing in default_listings(venue, stablecoins=True)]
    made = Market(listings, seed=1, start_ts=START_TS, rate=1_000.0, levels=20)
    for _ in made.until(START_TS + 20 * SECOND):
        pass

    def mid(base: str, quote: str) -> float:
        pairs = [
            pair
            for pair in made.pairs.values()
            if (pair.listing.base, pair.listing.quote) == (base, quote) and not pair.listing.is_contract
        ]
        return sum((pair.asks.keys[0] - pair.bids.keys[0]) / 2 * 10.0**-pair.listing.price_decimals for pair in pairs) / len(pairs)

    assert mid("BTC", "USDT") * mid("USDT", "USD") == pytest.approx(mid("BTC", "USD"), rel=1e-4)
