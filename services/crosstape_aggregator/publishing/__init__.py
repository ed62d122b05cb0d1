"""Connects the engine to the bus: publishes the quotes that are due, and tells the engine which streams are up to date.

- `quote_publisher`: when quotes are computed and published
- `composite_publisher`: reads what aggregators publish, and publishes the composites of the shard
- `stream_progress`: which instruments' streams have been read up to nearly now, so that their windows can be complete
"""
