"""The spool: lossless events on disk while the server is away and the memory is full.

spool → directory (append at one end, read from the other) → segments (one file each) → format (bytes of an entry)

recovery       how much of the spool of an earlier process is already on the tape
tape_identity  the id of a tape, so that a spool is not written to another tape
disk_health    pauses and counts attempts while the disk fails
"""
