"""Turns the outputs of a venue's parsers into events for the tape, and keeps the state of each feed. Pure: no I/O, no clock, no log.

- `handler`: the entry: passes each output to the part that applies it
- `feed_state`: the state of one feed
- `trades`, `books`: trades in the order of their ids; order books
- `quote_feeds`, `venue_status`: quotes and tickers; the states that the venue reports
- `topics`: the state of feeds when connections open, confirm and close
- `handover`: what a new connection collects until it replaces an older one
- `cross_checks`, `agreement`: find streams that miss changes, by REST or by another stream
- `clock_watch`, `clock_step`, `stops`: steps of our clock, and stops of this process
- `venue_clock`: the offset of our clock to the venue's
- `effects`, `keys`: the values that the feeds return, and the names of feeds and topics
"""
