"""Counts what each address asks for: requests a second, and streams at the same time. Pure: the caller gives the time."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from typing import Final

BURST_S: Final = 10.0
"""Seconds of requests that an address may have at once after a pause."""
ADDRESSES: Final = 10_000
"""Addresses that are remembered; beyond that, the one that asked least recently starts with a full bucket when it comes again."""


def address_of(remote: str | None) -> str:
    """Returns what counts as one address: of IPv6 its /64, which one subscriber has."""
    if not remote:
        return ""
    try:
        address = ipaddress.ip_address(remote.partition("%")[0])
    except ValueError:
        return remote
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)


class RequestRate:
    """A token bucket for each address. Bounded: see `ADDRESSES`."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._most = max(1.0, per_s * BURST_S)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address → (requests left, at what time)

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_s(self, address: str, now_s: float) -> float:
        """Counts one request. Returns 0 if it may be served, else in how many seconds the next may."""
        left, at_s = self._buckets.pop(address, (self._most, now_s))
        left = min(self._most, left + max(0.0, now_s - at_s) * self._per_s)
        allowed = left >= 1
        self._buckets[address] = (left - 1 if allowed else left, now_s)
        if len(self._buckets) > ADDRESSES:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._per_s


class StreamCount:
    """How many streams are open, of each address and in all."""

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._open: Counter[str] = Counter()
        self.total = 0

    def mistake(self, address: str) -> str:
        """Says which limit keeps this address from opening one more; empty: none does."""
        if self.total >= self._most:
            return f"{self._most} clients are streaming, which is the most (gateway.clients)"
        if self._open[address] >= self._most_per_address:
            return f"{self._most_per_address} clients of this address are streaming, which is the most (gateway.clients_per_address)"
        return ""

    def open(self, address: str) -> None:
        """Count one more."""
        self._open[address] += 1
        self.total += 1

    def close(self, address: str) -> None:
        """Count one less."""
        self.total -= 1
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]
