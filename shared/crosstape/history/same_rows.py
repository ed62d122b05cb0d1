"""Says when two rows of the history are of the same trade, candle or bar, and which of them counts. Each store asks it in its own way.

Trades and candles may come by REST that the tape has too. A row from `Source.REST` does not count if a row from elsewhere agrees in the
columns of `SAME` (of a candle or bar a closed one of the same revision) and of a trade is no further away than `MARGIN_NS`. Of a trade that
was fetched twice, the row that was fetched first counts. A trade without an id is like no other. Then of each candle or bar the closed row
counts rather than an open one, then the highest revision, then the one that came last.
"""

from __future__ import annotations

from typing import Final

SAME: Final[dict[str, tuple[str, ...]]] = {
    "trade": ("venue", "instrument", "trade_id"),
    "candle": ("venue", "instrument", "timeframe", "ts"),
    "bar": ("venue", "instrument", "timeframe", "ts"),
}
"""Kind → the columns in which two rows of the same trade, candle or bar agree. Other kinds come from the tape alone."""
REVISED: Final = frozenset({"candle", "bar"})
"""Kinds whose rows are replaced by a row with a higher revision."""
MARGIN_NS: Final = 60 * 10**9
"""How far apart in time two rows of one trade may be: by REST some venues give its time in seconds, or by another clock."""
