"""The writing side: events in, without waiting, and each on the tape exactly once.

publisher → stream (waiting events) → partition_writer → batch (numbered, encoded) → delivery (one script call)
memory full: overflow → losses, or the spool on disk → spool_reader → batch
"""
