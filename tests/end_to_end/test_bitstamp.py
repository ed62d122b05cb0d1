"""Bitstamp, simulated, and its connector: each was written from the venue's documentation alone, and they understand each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape_simulator.faults import parse
from tests.end_to_end.test_faults import BTC, ETH, connected
from tests.waiting import wait_until

FAULTS = ("stall kind=book for=1", "drop count=3", "malformed count=2", "maintenance", "rest-status for=2")
CUTS = ("cut", "close")
"""Trades that are made meanwhile are not counted here: ids only increase, so that a gap in them shows nothing."""


@pytest.mark.slow
@pytest.mark.parametrize("text", [*FAULTS, *CUTS])
async def test_the_tape_is_the_truth(client: Redis, valkey: str, tmp_path: Path, text: str) -> None:
    """Books are the market's, and each trade is there once, after a fault, too.

    The market goes on, slowly: the venue sends a book only when it changes, so that a new subscription to a still one says nothing.
    """
    async with connected("bitstamp", client, valkey, tmp_path) as venue:
        await venue.begins()
        venue.set(text)
        venue.made.faults.add(parse.from_text("burst factor=0.1 after=3"))
        await wait_until(lambda: venue.made.faults.listed()[-1].acted > 0, what="the market is slow")
        is_true = venue.has_true_book if text in CUTS else venue.is_true
        for instrument in (BTC, ETH):
            await wait_until(lambda one=instrument: is_true(one), what=f"{instrument} is as it truly is", timeout_s=60)  # type: ignore[misc]
