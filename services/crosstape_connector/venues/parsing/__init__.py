"""Functions that the parsers of all venues share: times, numbers, rows, lists, REST answers, complete books, refusals. Pure."""
