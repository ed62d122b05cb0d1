"""The metrics of the bus."""
