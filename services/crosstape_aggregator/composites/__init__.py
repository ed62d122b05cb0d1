"""Merges instruments of several quote currencies into composites, such as `BTC-USD*`, from what aggregators publish for each of them.

- `spec`: which parts and rate pairs a composite has, from the settings
- `pair_rate`: the rate of one pair, and since when it is proven current
- `part`: the newest quote and book of one part, its rate, and whether it counts
- `windows`, `merged_book`: VWAP and levels over the parts that count
- `composite`: the quote and the book of one composite, and when they are due
- `composites`: all composites of one shard

Pure: no I/O, no clock, no log. `publishing.composite_publisher` connects them to the bus. docs/explanation/composites.md is the text of the
method.
"""
