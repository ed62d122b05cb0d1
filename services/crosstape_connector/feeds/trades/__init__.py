"""Puts trades in the order of their ids, each once, and tracks the gaps between them. Pure."""
