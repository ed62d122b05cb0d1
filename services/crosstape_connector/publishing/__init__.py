"""Puts a connector's events on the tape.

- `sink`: counts every event, and passes it to the writer's publisher or buffer
- `writer`: the writer of a connector that is the only one of its venue, and the interface of all writers
- `predecessor`: the last events on the tape before this connector, and the gaps that follow from them
"""
