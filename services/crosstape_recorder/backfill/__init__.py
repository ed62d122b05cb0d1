"""Puts the past of venues into the history: what it has not yet, each trade and candle once, over any number of runs."""
