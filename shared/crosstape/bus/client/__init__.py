"""The server that the tape lives on: connecting, calling, availability, checks at the start."""
