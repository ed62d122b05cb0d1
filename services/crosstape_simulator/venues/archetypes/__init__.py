"""What venues have in common: how books are sent, numbered and checked, and how requests are answered.

A venue's own file writes its frames; sequencing, gathering, snapshots, checksums and acknowledgements are here, once:

- numbered deltas after a REST snapshot: `DeltaChannel` and `KeptSnapshots`
- numbered deltas after a snapshot on the stream: `DeltaChannel` with `first`
- numbers of a connection: `NumberedFeed`
- a checksum over a window of best levels: `WindowChannel`
- complete snapshots only: `BookChannel`
- candles of several timeframes: `CandleChannel`
- mark price, funding, open interest: `ValueChannel`; forced trades: `LiquidationChannel`
"""

from crosstape_simulator.market.derivatives import is_liquidation
from crosstape_simulator.market.grid import Grid, grid
from crosstape_simulator.market.history import Candle
from crosstape_simulator.venues.archetypes.candles import CandleChannel
from crosstape_simulator.venues.archetypes.channels import (
    BookChannel,
    Channel,
    Delta,
    DeltaChannel,
    QuoteChannel,
    TickerChannel,
    TradeChannel,
    Trades,
)
from crosstape_simulator.venues.archetypes.contracts import LiquidationChannel, ValueChannel
from crosstape_simulator.venues.archetypes.market import ChannelMarket, StreamMarket, SymbolSource
from crosstape_simulator.venues.archetypes.numbered import NumberedFeed
from crosstape_simulator.venues.archetypes.requests import RequestFeed, encoded, split
from crosstape_simulator.venues.archetypes.symbols import Best, Symbol
from crosstape_simulator.venues.archetypes.windows import Rows, WindowChannel

__all__ = [
    "Best", "BookChannel", "Candle", "CandleChannel", "Channel", "ChannelMarket", "Delta", "DeltaChannel", "Grid", "LiquidationChannel",
    "NumberedFeed", "QuoteChannel", "RequestFeed", "Rows", "StreamMarket", "Symbol", "SymbolSource", "TickerChannel", "TradeChannel",
    "Trades", "ValueChannel", "WindowChannel", "encoded", "grid", "is_liquidation", "split",
]  # fmt: skip
