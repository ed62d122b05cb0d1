"""Hyperliquid as it is simulated: perpetuals and spot, on shared code."""
