"""Turns the events of all venues into consolidated quotes. Pure: no I/O, no clock, no log."""
