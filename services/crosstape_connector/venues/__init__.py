"""Venues as data: the seam (`spec`, `messages`), the registry, and one folder for each venue. Pure: nothing here opens a socket."""
