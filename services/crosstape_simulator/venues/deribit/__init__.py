"""Deribit as it is simulated."""
