"""Computes VWAP, volume and count over rolling windows, and since when they are complete. Pure."""
