"""Turns a capture into the events that the connector would have published. Pure."""
