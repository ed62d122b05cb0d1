"""Rolling windows over trades: VWAP, volume, count, and from when on they are complete. Pure."""
