"""Gate, spot and perpetuals."""
