"""Checks bars against the candles that venues publish: two computations of the same trades, of which one is not ours.

- `candle_facts`: what the figures of each venue's candles are, where that decides whether a bar can be compared with them
- `candle_compare`: the differences between a bar and a candle. Pure
- `candle_pairs`: brings bars and candles together, in whatever order they arrive. Pure
- `candle_check`: does this in a running aggregator, and counts the differences
"""
