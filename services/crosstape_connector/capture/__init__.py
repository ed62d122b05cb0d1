"""Captures: the raw frames of a venue, written to and read from files."""
