"""Faults on request: what a fault is (`spec`), which venue can have it (`table`), and where each acts.

A fault is data. `FaultRegistry` (in `registry`) holds those that were set; a venue that has none is not touched: its server has no
interference, its connections no tap. Faults change what is sent, never the market behind it.
"""
