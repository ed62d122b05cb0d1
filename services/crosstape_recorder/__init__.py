"""The recorder: keeps the tape, each event once; finds, repairs and audits what it has kept.

service.py       runs the recorder as a process; `recorder.py` puts its parts together
reading.py       reads the streams from their marks on; `feed.py` hands their events to the kinds of the history
waiting_rows.py  what was read of a kind and is not in the store yet; `mark.py` how far a stream was read
committing.py    rows and marks to the store, and what to do about others who write there
losses.py        what had left the tape before it was read, as gaps of the history
binding.py       keeps the events of two tapes apart
tending.py       merges small commits, deletes old days
wanted.py        which kinds a stream feeds
availability.py  waits for the store
gaps/            finds what the history lacks, and whether a venue can give it
audit/           recomputes what was published, by the text of the methods
metrics.py       what the recorder counts
"""
