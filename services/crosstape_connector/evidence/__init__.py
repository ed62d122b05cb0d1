"""What a recording shows of a venue: each claim of its table beside what was seen. Pure: from the lines of a capture to a report.

`examination` reads the capture; `connections`, `pace`, `trades`, `candles` and `values` each gather one subject; `report` writes it down.
"""
