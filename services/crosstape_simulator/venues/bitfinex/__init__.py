"""Bitfinex spot and perpetuals, WebSocket version 2."""
