"""Decides which candles are published: each closed one once, corrections as revisions, what is missing as a gap. Pure.

- `candle_feeds`: the candle feeds of one venue
- `sequence`: the candles of one instrument and timeframe, ascending
- `rows`: the checks of one candle, and the comparison of two
"""
