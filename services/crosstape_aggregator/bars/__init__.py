"""Builds bars from trades, by the method `bar/1`. Pure: no I/O, no clock, no log.

- `sums`: what some trades of one venue add up to, and how two such sums merge
- `series`: the bars of one venue and timeframe, open and closed
- `gaps`: the gaps of one instrument that are open
- `ranges`: which intervals overlap ranges of time
- `taped`: the closed bars on the tape that have not been compared yet
- `instrument_bars`: the bars of all venues and timeframes in one instrument
- `output`: which instruments have bars to publish, and when
- `rules`: the settings that these modules use, in their units
"""
