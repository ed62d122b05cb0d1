"""A REST answer, before it is HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """An answer: JSON body, status, headers."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}


class Rest(Protocol):
    """The REST side of a venue."""

    def answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The venue's answer to `GET path?query` at `now` (ns)."""
        ...


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer whose body is the JSON of `body`."""
    return Answer(msgspec.json.encode(body), status, headers or {})
