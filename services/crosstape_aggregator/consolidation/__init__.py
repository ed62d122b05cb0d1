"""Turns the events of all venues into consolidated quotes. Pure: no I/O, no clock, no log.

- `engine`: applies events to the instruments of one shard, and returns the quotes that are due
- `schedule`: which instruments are due, and when
- `instrument`: the legs and windows of one instrument, and the effect of each kind of event on them
- `consolidated_quote`: computes the quote of one instrument
- `leg`: the prices and state of one venue in one instrument, and the reason if they do not count
- `best`: the best prices over the legs, and the legs whose prices are outliers
- `suspects`, `pace`: which leg of a crossed market is probably dead, measured by how long its feed is usually silent
- `liveness`: whether the connector of each venue is alive, and its present epoch
- `traders`: the venues that trade one instrument, and whether trades may be missing without a reported gap
- `rules`: the settings that these modules use, in their units
- `counts`: numbers for the metrics
"""
