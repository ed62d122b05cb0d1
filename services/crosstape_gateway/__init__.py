"""Serves the tape to programs without Redis and to browsers: REST, Server-Sent Events, WebSocket, and the dashboard page.

service.py   runs the gateway as a process
app.py       the routes, and what each request passes first
rest/        answers from the streams and last values on the bus
openapi.py   the OpenAPI document, and `openapi_texts.py` what it says
streams/     Server-Sent Events and WebSocket
page/        the dashboard: files that the browser loads
access/      who may read: tokens, sessions, origins, limits
hub/         one reader of the bus, and an outbox for each streaming client
metrics.py   what it counts
messages.py  what the gateway says itself: connected, missed, bus, heartbeat
symbols.py   other spellings of an instrument: BTCUSD, BTC/USD
topics.py    what a client follows: `cbbo:BTC-USDT`, `bar:1m:BTC-USDT@binance`
"""
