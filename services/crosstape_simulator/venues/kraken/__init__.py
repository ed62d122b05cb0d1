"""Kraken spot, WebSocket version 2."""
