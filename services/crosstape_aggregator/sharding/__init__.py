"""Several aggregators share the instruments: who serves which, and the aggregator's sign of life."""
