"""The metrics of the gateway."""
