"""Venues as data. Pure: nothing here opens a socket.

- `spec`, `messages`: what a venue must provide, and the outputs of its parsers
- `registry`: the list of venues
- `parsing`: functions that the parsers of all venues share
- one package for each venue
"""
