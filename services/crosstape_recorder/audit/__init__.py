"""Computes again what aggregators have published, from the recorded events and the texts of the methods, and compares digit by digit.

This is a second implementation: it imports nothing of the aggregator and is written from docs/explanation. docs/explanation/audit.md says
what is computed, what is only justified, and what is not checked.

- `findings`: differences, and counts of what was compared
- `rules`: the settings that the methods use
- `numbers`: exact decimals, and the few places where the methods round
- `price_stream`, `timeline`: recorded inputs, and which of them an aggregator may have read at a moment
- `feed_states`: the states that a leg's feed may have had at a moment
- `moments`: up to which entries an aggregator must have read, and may have read, when it computed an event
- `quotes`, `legs`, `exclusions`, `settling`, `best`: consolidated quotes (`cbbo/1`)
- `windows`, `complete`: VWAP windows
- `bars`, `intervals`: bars from trades (`bar/1`)
- `depths`, `edges`: consolidated books (`depth/1`) and edges (`edge/1`)
- `composites`: composites (`composite/1`)
- `instrument`: all of one instrument, from recorded events in the order of their ids
- `reading`: the events of a store in that order
- `committed`: up to when the history of a store is complete

All but `reading` and `committed` is pure.
"""
