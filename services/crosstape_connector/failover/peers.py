"""What redundant lines say of themselves on the server: one key each, that expires with whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from crosstape.bus.client.call import Client, execute
from crosstape_connector.failover.election import PeerStatus
from crosstape_schemas import Keys

LIVES: Final = 3
"""A word is there for so many lives of a lease; that its line lives is for the table of leases to say."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(PeerStatus).decode


class Peers:
    """Of one producer."""

    def __init__(self, client: Client, keys: Keys, producer: str, life_s: float) -> None:
        self._client = client
        self._keys = keys
        self._producer = producer
        self._life_ms = round(LIVES * life_s * 1000)

    async def say(self, word: PeerStatus) -> None:
        """Write ours. Raises one of `call.UNAVAILABLE`."""
        await execute(self._client, "SET", self._key(word.line), _encode(word), "PX", self._life_ms)

    async def take_back(self, line: str) -> None:
        """Ours is not there any more. Raises one of `call.UNAVAILABLE`."""
        await execute(self._client, "DEL", self._key(line))

    async def heard(self, lines: Iterable[str]) -> list[PeerStatus]:
        """Those of these lines that have said something we understand. Raises one of `call.UNAVAILABLE`."""
        found = []
        for line in lines:
            text = await execute(self._client, "GET", self._key(line))
            try:
                found.append(_decode(text or b""))
            except msgspec.MsgspecError:
                continue  # it has not spoken yet, or is of another version: it counts as not well
        return found

    def _key(self, line: str) -> str:
        return self._keys.line(self._producer, line)
