"""Coinbase Advanced Trade and Coinbase Exchange."""
