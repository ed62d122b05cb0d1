"""The WebSocket connections of one venue: connect, subscribe, keep alive, replace. No events are made here.

- `supervisor`, `slot`: keep one session per planned connection running, and replace connections without a gap
- `session`: one connection, from connecting to its end; reads the frames
- `upkeep`, `watchdog`, `cadence`: the checks of one connection by the clock; which of its feeds have stopped
- `subscriber`, `subscriptions`, `pending_request`, `handles`: the requests to subscribe, and the venue's answers
- `subscribed_feeds`: which feeds the topics of a connection bring
- `plan`: which topics go on which connection
- `address`: where to connect, and what is secret in it
- `websocket`, `tunnel`, `proxies`: open a connection, directly or through a proxy
- `connect_budget`: limits how often we connect
- `origin_check`: whether the data come from the venue or from a simulator
- `timekeeping`: our clock and its offset to the venue's
- `bad_frames`: counts and logs frames that cannot be used
- `context`: the parts that all connections of a venue share
"""
