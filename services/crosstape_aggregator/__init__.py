"""Consolidates the quotes and trades of all venues into one quote for each instrument: best prices, and VWAP over rolling windows.

- `service`: the process; it serves the shards whose leases it holds
- `shard`: serves one shard, a part of the instruments: reads the bus, applies events and publishes quotes
- `sharding`: divides the instruments into shards, and the shards among the running aggregators
- `recovery`: restores the windows after a start
- `publishing`: when quotes are computed and published
- `checks`: compares bars with the candles of venues
- `composites`: how quotes and books of several instruments become those of a composite
- `depth`, `edges`: consolidated books and what a trade would cost in them; pairs of venues whose prices cross after fees; both are pure
- `consolidation`, `windows`: how an event changes the state, and how a quote is computed from it; both are pure
- `clocks`, `decimals`, `wakeup`: the clock offsets of venues, exact arithmetic, an alarm for one task
- `metrics`: exports numbers of all of these
"""
