"""Bitfinex: the table of all that the simulator knows of it."""

from __future__ import annotations

from typing import Final

from crosstape_simulator.market.listings import Listing
from crosstape_simulator.venues.bitfinex import frames, protocol, rest
from crosstape_simulator.venues.bitfinex.market import BitfinexMarket
from crosstape_simulator.venues.spec import Dialect, InstrumentList, RestRules, SimulatedVenue

DECIMALS: Final = {"BTC": (0, 8), "ETH": (1, 8), "SOL": (2, 8), "XRP": (5, 8), "DOGE": (5, 8), "ADA": (5, 8)}
"""Of prices (five significant digits at today's prices) and sizes."""
PAIRS: Final = {
    "tBTCUSD": ("BTC", "USD"), "tETHUSD": ("ETH", "USD"), "tSOLUSD": ("SOL", "USD"), "tBTCUST": ("BTC", "USDT"), "tETHUST": ("ETH", "USDT"),
    "tSOLUST": ("SOL", "USDT"), "tXRPUST": ("XRP", "USDT"), "tDOGE:UST": ("DOGE", "USDT"), "tADAUST": ("ADA", "USDT"),
}  # fmt: skip
PERPETUALS: Final = {"tBTCF0:USTF0": "BTC", "tETHF0:USTF0": "ETH", "tSOLF0:USTF0": "SOL"}
OPTIONS: Final = {"channels": 30, "checksum_every_s": 2.5, **{f"{kind}_per_minute": 15 if kind == "trades" else 30 for kind in rest.KINDS}}
NUMBER: Final = rb"-?[0-9][0-9.]*(?:e-[0-9]+)?"


def _list(path: str) -> InstrumentList:
    return InstrumentList(
        path=path, rows=(), symbol="", base="", tick="", lot="",
        unlisted=lambda base: {"": f"{base}:UST"}, names=lambda symbol: symbol.removeprefix("t"), lists=2,
    )  # fmt: skip


VENUE: Final = SimulatedVenue(
    id="bitfinex",
    title="Bitfinex",
    listings=(
        *(Listing("bitfinex", symbol, base, quote, *DECIMALS[base]) for symbol, (base, quote) in PAIRS.items()),
        *(Listing("bitfinex", symbol, base, "USDT", *DECIMALS[base], contract_size="1") for symbol, base in PERPETUALS.items()),
    ),
    options=OPTIONS,
    dialects=(
        Dialect(
            path=protocol.PATH,
            prefixes=(protocol.PATH,),
            feed=protocol.BitfinexFeed,
            classify=frames.classify,
            asked=frames.asked,
            refuse=frames.refuse,
            numbers=frames.LastNumber(),
        ),
    ),
    market=BitfinexMarket,
    rest=RestRules(
        history=rest.pair_answer,
        unknown=rest.UNKNOWN,
        refusal=rest.refusal,
        lists=(_list(rest.NAMED), _list(rest.LISTED)),
        halted={"halt": {}},  # there is no status: a pair that does not trade leaves the lists
    ),
    kinds={
        "trades": frozenset({"trade"}),
        "book": frozenset({"book", "quote"}),
        "ticker": frozenset({"ticker"}),
        "candles": frozenset({"candle"}),
        "deriv": frozenset({"mark", "funding", "open_interest"}),
        "liq:global": frozenset({"liquidation"}),
    },
    fields={},
    rows={  # a negative amount is one of the other side, so `size` is the id of a trade and the number of a level's orders instead
        "trade": rb"\[(?P<size>\d+),\d{13}," + NUMBER + rb",(?P<price>" + NUMBER + rb")\]",
        "book": rb"\[(?P<price>" + NUMBER + rb"),(?P<size>\d+)," + NUMBER + rb"\]",
        "candle": rb"\[\d{13},(?P<price>" + NUMBER + rb"),[^\]]*,(?P<size>" + NUMBER + rb")\]",
        "ticker": rb"(?:\[|,\[)(?:[^,\]]+,){6}(?P<price>" + NUMBER + rb"),(?P<size>" + NUMBER + rb"),",
        "mark": rb'"?null,null,(?P<price>' + NUMBER + rb"),null,null,(?P<size>" + NUMBER + rb"),null",
    },
    shift=frames.shift,
    checksum=frames.OwnFrame(),
    maintenance="`info` 20060, then 20061",
)
