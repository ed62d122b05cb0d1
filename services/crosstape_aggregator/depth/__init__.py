"""Turns the books of all venues into consolidated books. Pure: no I/O, no clock, no log.

- `output`: which instruments are due, and when
- `instrument_depth`: computes the consolidated book of one instrument from its legs
- `book_leg`: whether the book of a leg counts, and how it is published
- `merge`: the levels of several books as one, and what it costs to trade a size there
- `rules`: the settings that these modules use, in their units

docs/explanation/depth-and-edges.md has the method.
"""
