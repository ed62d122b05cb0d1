"""OKX spot: the table of all that the simulator knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crosstape_simulator.market.listings import Listing
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.okx import rest
from crosstape_simulator.venues.okx.market import BUSINESS, PUBLIC, RECORDED, ROWS, OkxMarket
from crosstape_simulator.venues.okx.protocol import dialect
from crosstape_simulator.venues.rewriting import UpdateIds, unix_times

DECIMALS: Final = {"BTC": (1, 8), "ETH": (2, 6), "SOL": (2, 6), "XRP": (4, 6), "DOGE": (5, 6), "ADA": (4, 6)}
"""Of prices and sizes, as the real venue has (or had) for the same pairs."""
OPTIONS: Final = {"requests_per_hour": 480.0, "limits": 1.0, "silence_s": 30.0}
HALTED: Final[Mapping[str, Mapping[str, object]]] = {"halt": {"state": "suspend"}, "delisted": {"state": "expired"}}
TIMES: Final = unix_times("ts", "begin", "end", "fundingTime", "nextFundingTime", "prevFundingTime")
IDS: Final = UpdateIds("prevSeqId", "seqId")


class SpotMarket(OkxMarket):
    """OKX spot."""

    public_kinds = PUBLIC

    def row(self, symbol: kit.Symbol) -> Mapping[str, object]:
        """See `OkxMarket.row`."""
        one = symbol.pair.listing
        names = {"instType": "SPOT", "instId": one.symbol, "baseCcy": one.base, "quoteCcy": one.quote, "instFamily": "", "uly": ""}
        steps = {"tickSz": symbol.short_price(1), "lotSz": symbol.short_size(1), "minSz": symbol.short_size(1)}
        contract = dict.fromkeys(("ctMult", "ctType", "ctVal", "ctValCcy", "expTime", "settleCcy"), "")
        return {**names, **steps, **contract, "ruleType": "normal", "instCategory": "1", "state": "live"}


VENUE: Final = spec.SimulatedVenue(
    id="okx",
    title="OKX",
    listings=tuple(Listing("okx", f"{base}-USDT", base, "USDT", *decimals) for base, decimals in DECIMALS.items()),
    options=OPTIONS,
    dialects=(dialect("public", [*PUBLIC, "status"]), dialect("business", BUSINESS)),
    market=SpotMarket,
    rest=spec.RestRules(
        history=rest.history,
        unknown=rest.UNKNOWN,
        refusal=rest.refusal,
        statuses=frozenset({200}),
        lists=(
            spec.InstrumentList(
                path=rest.LIST, rows=("data",), symbol="instId", base="baseCcy", tick="tickSz", lot="lotSz", status="state",
                unlisted=lambda base: {"instId": f"{base}-USDT", "baseCcy": base, "quoteCcy": "USDT"},
            ),
        ),
        halted=HALTED,
    ),
    recorded=RECORDED,
    kinds={**PUBLIC, **BUSINESS},
    fields={"trade": ("px", "sz"), "ticker": ("last", "vol24h")},
    rows=ROWS,
    shift=TIMES,
    ids=IDS,
    maintenance="`status`: a row of the state `ongoing`, and later one that is `completed`",
)  # fmt: skip
