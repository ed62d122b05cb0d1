"""Turns what a venue's parsers found into events for the tape, and keeps the state of each feed. Pure: no I/O, no clock, no log."""
