"""Writes the raw frames of a venue to files (captures), and reads them.

- `writer`: writes the capture of a running connector
- `reader`: reads captures, plain or compressed
"""
