"""The aggregator: what all venues say of an instrument becomes one consolidated quote.

`process` serves the shares of the instruments that this instance holds: `leases` says which, `lease_keeper` asks the server. For each,
`service` reads the bus and publishes; everything below it is pure: `board` (all instruments), `instrument` (one), `legs` (a venue's part
of it), `consolidate` (legs to best prices), `vwap` (windows of trades), `conflate` (whose turn it is). Time comes in as a value.
"""
