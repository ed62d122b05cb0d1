"""The connection to the server that holds the tape.

connect         makes a client from the settings: single server, Sentinel, cluster; TLS and credentials
call            one call: returns the answer, or raises one of `UNAVAILABLE`
raw_connection  the same with less CPU, for the small calls of the hot path
availability    repeats a call until the server answers; logs the start and the end of an outage
reasons         says why a server cannot be used, and whether waiting can help
startup_check   checks at the start of a service that the server can be used at all
server_memory   how much memory the server uses and may use, for metrics
eviction        warns if the server would delete keys of the tape when its memory is full
"""
