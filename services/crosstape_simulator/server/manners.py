"""What some venues want of a connection before and beside its data: a token, a welcome, answers to their pings, binary frames."""

from __future__ import annotations

import gzip
import itertools
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

WELCOME_S: Final = 0.05
"""How long a client waits for the welcome."""

TOKENS_MAX: Final = 10_000
"""Tokens that are remembered; beyond, the oldest is forgotten."""


class Packing(NamedTuple):
    """How JSON text becomes the payload of a binary frame, and back."""

    pack: Callable[[bytes], bytes]
    unpack: Callable[[bytes], bytes]
    """Raises `OSError`, `EOFError` or `zlib.error` for what `pack` has not made."""
    compresses: bool = False


GZIP: Final = Packing(lambda text: gzip.compress(text, 1, mtime=0), gzip.decompress, compresses=True)
"""Each frame is a gzip file."""

AS_TEXT: Final = Packing(bytes, bytes)
"""Binary frames that hold the text as it is."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens for connections, given in answer to a POST. Each opens one connection."""

    path: str
    """Of the POST."""
    write: Callable[[str, str], object]
    """(token, address of the WebSocket without a query) → the JSON of the answer."""
    parameter: str = "token"
    """The query's name of the token."""
    refusal: bytes = b""
    """The frame for a client without a valid token, before it is closed; empty: none."""
    code: int = 4401
    """Of the close frame."""
    valid_s: float = 86_400.0
    """How long a token is valid (s)."""


class ServerPings(msgspec.Struct, frozen=True, kw_only=True):
    """Pings that the server sends as data frames. A client that does not answer is cut."""

    text: Callable[[int], str]
    """Now (ns) → a ping."""
    is_answer: Callable[[str], bool]
    """Whether a client's message answers a ping: the feed does not get it."""
    every_s: float = 5.0
    within_s: float = 30.0
    """Without an answer for so long the client is cut (s)."""


class Tokens:
    """The tokens that a venue has given and that were not used yet. Bounded: see `TOKENS_MAX`."""

    def __init__(self) -> None:
        self._given: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._numbers = itertools.count(1)

    def issue(self, grant: Grant) -> str:
        """A new token."""
        token = f"simulated-{next(self._numbers)}-{time.monotonic_ns():x}"
        self._given[token] = grant.path, time.monotonic() + grant.valid_s
        while len(self._given) > TOKENS_MAX:
            self._given.popitem(last=False)
        return token

    def redeem(self, grant: Grant, token: str) -> bool:
        """Whether the token opens a connection; it is used up."""
        path, until = self._given.pop(token, ("", 0.0))
        return path == grant.path and time.monotonic() < until

    def revoke(self, token: str) -> bool:
        """Let a token be as if it had expired; False: it was not valid anyway."""
        return self._given.pop(token, None) is not None
