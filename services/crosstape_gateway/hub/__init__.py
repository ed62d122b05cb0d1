"""Reads each stream that some client follows once, and has an outbox for each client.

hub        one reader of the bus; clients join and leave
catalogue  which streams the tape has: for topics that name every instrument
outbox     what one client has not been sent yet: bounded, the newest of each state, events up to a number
"""
