"""Reaches venues through the library ccxt, where we do not speak to them ourselves. Needs the extra `ccxt`; imported only for such venues.

It has the face of an HTTP client: the connector opens a WebSocket and makes requests as at any venue, and all its rules apply: sessions,
watchdog, gaps, failover, captures. Behind that face the library runs.

- `client` is that face: `ws_connect` gives a `socket.BridgeSocket`, and a request for `/markets` the library's markets.
- `socket` is one connection of ours: one exchange object of the library, one `pump` for each stream, a bounded queue of frames.
- `exchange` makes exchange objects, and mends what stops a stream without a word.
- `failures` says what an error of the library means; `parking` leaves alone for a while what fails again and again.
- `writing` turns the library's results into frames (`venues.ccxt.frames`), and `describe` lists what each class can do.

An exchange object ends with its connection, and is never connected a second time: the library would connect twice, merge the new book into
the old one, and hand out trades again. So there is nothing to clean up after a lost connection.
"""
