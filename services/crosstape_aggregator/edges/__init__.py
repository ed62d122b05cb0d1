"""Finds the pairs of venues whose prices cross after fees. Pure: no I/O, no clock, no log.

- `output`: publishes what opens and closes at once, and changes when they are due
- `instrument_edges`: the open edges of one instrument
- `net`: prices after fees, and the size that two books hold at prices that cross
- `rules`: the settings that these modules use, in their units

docs/explanation/depth-and-edges.md has the method.
"""
