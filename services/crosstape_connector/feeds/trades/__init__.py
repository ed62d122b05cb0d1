"""Puts trades in the order of their ids, each once, and tracks the gaps between them. Pure.

- `trade_feeds`: the trade feeds of one venue
- `sequence`: the trades of one instrument in the order of their ids
- `open_gaps`: reported gaps, and the trade ids still missing
"""
