"""Connectors: one process per venue turns its WebSocket frames into events of the tape.

`service` runs one; `connector` wires its parts; `health` says how it is; `universe` knows its instruments. The way of a frame: `connection`
reads it, `venues` parses it, `feeds` makes events of it, `publishing` sends them out. `rest` asks for what streams do not bring; with
`failover` several connectors replace one another; `capture` and `replay` write and read raw frames.
"""
