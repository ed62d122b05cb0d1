"""Trades in id order, each once, and the gaps between them. Pure."""
