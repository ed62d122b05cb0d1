"""The statuses that replicas write on the server: one key per replica. The key expires when its replica does not renew it any more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from crosstape.bus.client.call import Client, execute
from crosstape_connector.failover.election import PeerStatus
from crosstape_schemas import Keys

STATUS_LIVES: Final = 3
"""A status expires after this many lives of a lease. The table of leases shows sooner whether its replica still runs."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(PeerStatus).decode


class Peers:
    """Reads and writes the statuses of one producer's replicas."""

    def __init__(self, client: Client, keys: Keys, producer: str, life_s: float) -> None:
        self._client = client
        self._keys = keys
        self._producer = producer
        self._life_ms = round(STATUS_LIVES * life_s * 1000)

    async def write(self, status: PeerStatus) -> None:
        """Write our status. Raises one of `call.UNAVAILABLE`."""
        await execute(self._client, "SET", self._key(status.replica), _encode(status), "PX", self._life_ms)

    async def delete(self, replica: str) -> None:
        """Delete the status of this replica. Raises one of `call.UNAVAILABLE`."""
        await execute(self._client, "DEL", self._key(replica))

    async def read(self, replicas: Iterable[str]) -> list[PeerStatus]:
        """Read the statuses of these replicas; absent and unreadable ones are left out. Raises one of `call.UNAVAILABLE`."""
        found = []
        for replica in replicas:
            text = await execute(self._client, "GET", self._key(replica))
            try:
                found.append(_decode(text or b""))
            except msgspec.MsgspecError:
                continue  # the replica has not written its status yet, or runs another version: it counts as unhealthy
        return found

    def _key(self, replica: str) -> str:
        return self._keys.line(self._producer, replica)
