"""Consolidates the quotes and trades of all venues into one quote for each instrument: best prices, and VWAP over rolling windows.

`service` is the process. It serves the shards of the instruments whose leases it holds (`sharding`); `shard` serves one of them. `shard`
reads the bus, restores windows after a start (`recovery`), and publishes quotes (`publishing`). What an event changes and what a quote says
is decided in `consolidation` and `windows`, which are pure.
"""
