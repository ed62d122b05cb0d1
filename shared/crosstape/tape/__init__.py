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
failures        logs the errors of callbacks
queue           the bounded queue: the newest of each state, exact counts of dropped events; pure
selection       checks the names of kinds, timeframes, instruments and venues; pure
history         the past, from the streams
numbering       finds what is missing in it; pure
last            the newest event of each venue
frames          DataFrames of events

The same face for blocking code:
sync, sync_by_kind, sync_subscription, sync_callbacks    as those without `sync`
loop_thread     a thread with an event loop
thread_tape     a tape that lives on it
blocking_source a source for callers on other threads

Classes for programs that expect them:
candle_provider, stream_collector                        their faces
follower        follows feeds by symbols in any spelling, on a thread
feed_reader     finds their instruments, and reads them, on that thread's loop
receivers       who gets the updates of a feed
candle_buffer   the newest candles of a feed; pure
symbols         what all spellings of an instrument have in common; pure
waiting_queue   a bounded queue between threads
callback_thread calls callbacks on a thread of their own
"""
