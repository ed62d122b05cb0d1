"""The way of a connector's events to the tape."""
