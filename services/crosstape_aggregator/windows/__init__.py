"""Sums the trades of one instrument over time windows, and tracks since when these trades are complete. Pure: no I/O, no clock, no log.

- `window_spec`: parses the window names of the settings (`30s`, `5m`, `1d`)
- `trade_time`: the moment that a trade counts at
- `vwap`: VWAP, volume and number of trades of each window
- `seconds`, `minute`: the sums of each second, packed by the minute when they are older
- `coverage`: the second since which no trade is missing, and the gaps that are still open

**When a window is complete.** Four conditions must hold. `vwap.TradeWindows.read` joins them:

1. No trade since the start of the window is missing: `coverage.Coverage.complete_since_s`, from the gaps and from where reading began.
2. Each venue that trades the instrument reports everything that would be missing: `consolidation.traders.Traders.known`.
3. The streams of the instrument have been read up to nearly now: `publishing.stream_progress.StreamProgress` finds those that are behind.
   `ConsolidatedInstrument.look` joins 2 and 3, and passes the result to `TradeWindows.trust`.
4. Our clock has not been set back: `vwap` itself.
"""
