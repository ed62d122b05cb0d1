"""Hot standby: several connectors (replicas) of one venue, of which one publishes at a time.

- `replica`: the writer of one replica; publishes while it is active, buffers while it is on standby
- `hot_standby`, `election`: which replica becomes active, decided with a lease on the server
- `term`: one period as the active replica, from getting the lease to losing it
- `peers`: the status that each replica writes for the others
- `trade_buffer`: trades of a standby replica, kept until the active one has published them
"""
