"""Connectors: one process per venue turns its WebSocket frames into events of the tape.

Pure: `venues`, `books`, `feeds`, `plan`, `normalize`. Time and sockets: `session` (one connection), `supervisor` (sessions for ever),
`rest`, `instruments`, `capture`, `service` (all of it, wired).
"""
