"""Order books: kept from a snapshot and deltas, checked by what the venue proves. Pure."""
