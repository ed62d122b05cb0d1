"""The synthetic market: prices, books and trades that every simulated venue shows in its own format."""
