"""One WebSocket connection and all of a venue's together: connect, subscribe, keep alive, supervise. No events are made here."""
