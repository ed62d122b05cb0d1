"""The states of an order book, and of the request for its next snapshot."""

from __future__ import annotations

from enum import Enum, auto


class BookState(Enum):
    """How far a book is. It moves down this list, and back to the top when it breaks or its connection closes."""

    WAITING = auto()  # there is no snapshot: updates are buffered (snapshot by REST) or dropped (snapshot in the stream)
    BRIDGING = auto()  # the book is a REST snapshot that no update was linked to yet
    LIVE = auto()  # a snapshot and every update since


class Request(Enum):
    """Whether a snapshot was requested that is not here yet, and what it is for."""

    NONE = auto()
    SNAPSHOT = auto()  # the next book: updates are buffered until it comes
    PROBE = auto()  # shows whether anything has happened at the venue while the stream of a live book is silent
    PROBE_AGAIN = auto()  # the answer to a probe was older than the stream: it is to be requested again
