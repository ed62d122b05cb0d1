"""How often the venues let one address ask by REST."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_simulator.server.rate_limit import Bucket
from crosstape_simulator.service import simulator
from tests.simulator.client import get, still

NS = 10**9


@given(st.floats(0.1, 100), st.floats(1, 50), st.lists(st.integers(0, 3 * NS), min_size=1, max_size=60), st.integers(0, 2 * 10**18))
def test_no_more_is_answered_in_any_time_than_fits_the_bucket(per_s: float, burst: float, pauses: list[int], start: int) -> None:
    """Between any two requests that were answered: what it holds, and what flowed in meanwhile."""
    bucket, now = Bucket(per_s, burst), start
    answered: list[int] = []
    for pause in pauses:
        now += pause
        if bucket.allows(now):
            answered.append(now)
    for first in range(len(answered)):
        for last in range(first, len(answered)):
            assert last - first + 1 <= burst + (answered[last] - answered[first]) / NS * per_s + 1e-3


@given(st.floats(0.1, 100), st.integers(1, 100))
def test_who_keeps_to_the_rate_is_never_refused(per_s: float, count: int) -> None:
    """However long it goes on."""
    bucket, step = Bucket(per_s, 1.0), int(NS / per_s) + 1
    assert all(bucket.allows(number * step) for number in range(count))


def test_without_a_rate_there_is_no_limit() -> None:
    """Zero is not "never"."""
    bucket = Bucket(0.0, 0.0)
    assert all(bucket.allows(0) for _ in range(100))


async def test_coinbase_refuses_what_comes_too_often() -> None:
    """With 429 and its own words, whatever is asked for."""
    async with simulator(still(venues=("coinbase",), options={"coinbase": {"requests_per_s": 0.001}})) as made:
        assert (await get(made, "coinbase", "/products"))[0] == 200
        for path in ("/products", "/products/BTC-USDT/trades", "/time"):
            assert (await get(made, "coinbase", path))[:2] == (429, {"message": "Public rate limit exceeded"})


async def test_kraken_counts_the_trades_of_each_pair_apart() -> None:
    """By whichever of its names a pair is asked for."""
    refused = (429, {"error": ["EGeneral:Too many requests"]})
    async with simulator(still(venues=("kraken",), options={"kraken": {"requests_per_s": 0.001}})) as made:
        assert (await get(made, "kraken", "/0/public/AssetPairs"))[0] == 200
        assert (await get(made, "kraken", "/0/public/Depth?pair=XBTUSD&count=1"))[:2] == refused
        for names in (("XBTUSD", "XXBTZUSD"), ("ETH/USD", "ETHUSD")):
            assert (await get(made, "kraken", f"/0/public/Trades?pair={names[0]}"))[0] == 200
            assert (await get(made, "kraken", f"/0/public/Trades?pair={names[1]}"))[:2] == refused


@pytest.mark.parametrize(("venue", "path", "burst"), [("coinbase", "/products", 15), ("kraken", "/0/public/AssetPairs", 15)])
async def test_as_many_as_the_venue_documents_may_come_at_once(venue: str, path: str, burst: int) -> None:
    """By default; a demo's services start together."""
    async with simulator(still(venues=(venue,), options={"coinbase": {"requests_per_s": 10.0}, "kraken": {"requests_per_s": 1.0}})) as made:
        for _ in range(burst):
            assert (await get(made, venue, path))[0] == 200
