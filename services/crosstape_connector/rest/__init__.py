"""Everything that a connector requests by REST: instruments, snapshots, missed trades, polling, and probes of silent feeds.

- `requests`: runs all kinds of requests but the list of instruments
- `instruments`: the venue's list of instruments, and its cache
- `snapshot_recovery`, `snapshot_queue`: new snapshots of order books, and which is next
- `backfill`, `backfill_schedule`: missed trades, and which gap is filled next
- `polling`, `polling_rules`: trades and quotes while the WebSocket is away, and which feeds are next
- `past_candles`: candles from before a feed's first, and those that it may have missed
- `polled_values`: figures that the venue has only by REST
- `probes`, `probe_schedule`: questions about silent feeds, and which instruments are next
- `worker`: makes the requests of one kind, one at a time
- `sources`, `client`: the requests of a venue's sources, and the HTTP client below them
- `odd_rows`: counts and logs rows that cannot be used
- `context`: the parts that all kinds of requests share
"""
