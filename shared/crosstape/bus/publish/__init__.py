"""The writing side: events in, without waiting, and each on the tape exactly once."""
