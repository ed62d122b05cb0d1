"""Finds what the recorded history lacks. Pure: recorded values in, gaps out; no store, no clock.

- `gap`: one gap of the history, and the feed that it is of
- `ranges`: arithmetic of ranges of time
- `told`: gaps that events on the tape report, less what was repaired
- `numbering`: `seq` of entries that the history lacks
- `trade_ids`: ids of trades that the history lacks, where a venue counts them by one
- `candles`: intervals without a candle, where a venue publishes each
- `silence`: times in which nobody recorded a venue
- `finding`: puts them together into one list
"""
