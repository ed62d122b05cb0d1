"""What the parsers of all venues share: times, numbers, rows, lists, refusals. Pure."""
