"""Turns a capture into the events that the connector would have published. Pure.

- `normalize`: turns the lines of a capture into events
- `connections`: the connections of a capture
- `polled_answers`: finds answers with figures that are polled
- `rest_order`: puts the REST answers of a capture in their places
- `summary`: counts the contents of a capture, and the events made from it
"""
