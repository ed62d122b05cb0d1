"""What happened at the venue becomes events of the tape, with each feed's state. Pure: no I/O, no clock, no log."""
