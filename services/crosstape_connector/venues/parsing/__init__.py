"""Functions that the parsers of all venues share. Pure.

- `wire`: times, prices and sizes as venues write them
- `numbers`: text to a number within the bounds of a price or size
- `rows`: the rows of a frame or answer, read one by one
- `answers`: REST answers: past trades, best prices, trading states, errors
- `listing`: a venue's list of instruments
- `complete_books`: books that a venue sends complete each time
- `sequence_break`: the break of all books of a connection whose frames are numbered
- `refusals`: the reason of a refusal as one short line
- `unreadable`: the feeds that a bad frame may have held data of
"""
