"""Server-Sent Events and WebSocket: how a client gets what the hub has for it."""
