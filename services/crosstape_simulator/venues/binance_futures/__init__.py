"""Binance's futures: USD-M with two addresses, COIN-M with one."""
