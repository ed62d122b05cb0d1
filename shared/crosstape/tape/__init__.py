"""The reading side for programs: `Tape`, and what stands on it.

tape            the face: opens the connection, and gives subscriptions, callbacks, the queue, the past
by_kind         one method for each kind of event
subscription    events one after the other, for a loop
callbacks       events for functions of the user
followed_queue  events for polling: a task reads into a bounded queue
collect         events for a list
source          one reader and what is wanted of it: what these stand on
connection      what all sources of a tape share: the client, the signs of life, the registry of streams
losses          counts and reports what was missed
queue           the bounded queue: the newest of each state, exact counts of dropped events; pure
selection       checks the names of kinds, timeframes, instruments and venues; pure
history         the past, from the streams
numbering       finds what is missing in it; pure
last            the newest event of each venue
frames          DataFrames of events

sync…           the same face for blocking code, on a thread of its own: loop_thread, thread_tape, blocking_source
candle_provider, stream_collector, and what they are made of: classes for programs that expect these
"""
