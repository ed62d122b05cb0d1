"""Reads each stream that some client follows once, and has an outbox for each client.

hub         one reader of the bus: entries go to the groups that follow their streams; clients join, are tended, and leave
joining     how a client begins to follow topics: the answer, past events, last values, what is new
replay      past events for a client that resumes, read from the streams
routing     which group follows which stream, and which streams are read
catalogue   which streams the tape has: for topics that name every instrument
channel     one stream: its groups and last values (memory)
group       clients with the same topics and options: what they are sent is encoded once
subscriber  one client: writes to its connection, or keeps things in its outbox
outbox      what one client has not been sent yet: bounded, the newest of each state, events up to a number
wire        items as the bytes of one write
item        one thing to send
"""
