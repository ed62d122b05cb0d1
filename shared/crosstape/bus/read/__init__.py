"""The reading side: typed events of many streams, each once, in each stream's order.

reader → connections → poller (one connection) → script (the calls to the server)

turns        which streams are read next, where all are waited for
bell_turns   the same, where the bell is waited for
bell         the bells: what they name, and whether they can be relied on
decoding     events of entries, with a check of their numbering
inspection   what reading a stream does not show: it is none, was made again, or is trimmed to its end
entry        what a reader returns, and where it starts on a stream
followed     one stream: where it continues, and whether entries were removed before they were read
continuity   finds missing events by the numbering: `seq` per venue and epoch
progress     whether all entries of a connection have been passed on, and as of when
life_watch   whether the producers are alive, read over a connection of its own
last_values  the last values of many streams, for a producer that starts again
"""
