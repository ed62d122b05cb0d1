"""What the aggregator of a demo computes beside quotes, as variables of the environment: bars, consolidated books, edges, a composite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from crosstape.settings.environment import PREFIX
from crosstape_simulator.venues.registry import default_listings

BARS: Final = "1s,1m"
LEVELS: Final = "10"
SIZES: Final = {"BTC-USDT": ["0.1", "1"], "ETH-USDT": ["1", "10"], "BTC-USD": ["0.1", "1"], "BTC-USD*": ["0.1", "1"]}
FEE_BPS: Final = "0.05"
"""Of all venues. Simulated venues stay within a third of a basis point of one another: with the fees of real ones no edge would open."""

COMPOSITE: Final = "BTC-USD*"
PARTS: Final = ("BTC-USD", "BTC-USDT")
RATE: Final = "USDT-USD"


def outputs(venues: Sequence[str]) -> dict[str, str]:
    """Returns the variables for a demo of these venues. A composite needs its parts, and the rate between their quote currencies."""
    listed = {listing.instrument for venue in venues for listing in default_listings(venue, stablecoins=True)}
    composites = {COMPOSITE: {"parts": PARTS}} if listed.issuperset({*PARTS, RATE}) else {}
    values = {
        "BARS": BARS,
        "DEPTH_LEVELS": LEVELS,
        "SWEEP_SIZES": _table(SIZES),
        "TAKER_FEES_BPS": _table(dict.fromkeys(venues, FEE_BPS) if len(venues) > 1 else {}),
        "COMPOSITES": _table(composites),
    }
    return {f"{PREFIX}AGGREGATOR__{name}": value for name, value in values.items()}


def _table(value: object) -> str:
    return msgspec.json.encode(value).decode()
