"""OKX: spot and contracts, with two addresses each."""
