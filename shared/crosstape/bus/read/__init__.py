"""The reading side: typed events of many streams, each once, in each stream's order.

reader → poller (one connection, up to 512 streams) → script (the calls to the server)

entry        what a reader returns, and where it starts on a stream
followed     one stream: where it continues, and whether entries were removed before they were read
continuity   finds missing events by the numbering: `seq` per venue and epoch
progress     whether all entries of a connection have been passed on, and as of when
life_watch   whether the producers are alive, read over a connection of its own
last_values  the last values of many streams, for a producer that starts again
"""
