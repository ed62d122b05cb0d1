"""A capture becomes the events that the connector would have published. Pure."""
