"""Keeps the recorded quotes or books of one instrument, to find those that published events name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from crosstape_recorder.audit.findings import text_of
from crosstape_recorder.audit.numbers import is_price
from crosstape_schemas import Book, FeedState, Quote

Key = tuple[str, int, int]
"""Venue, epoch, `seq`."""
Side = tuple[Decimal | None, Decimal | None]
_NONE: Final[Side] = (None, None)
KEPT_MS: Final = 120_000
"""Inputs are kept for this long, and longer while an event that was published last names them."""
PRUNE_EVERY: Final = 8_192


class Input:
    """One recorded quote or book."""

    __slots__ = ("_sides", "event", "ms", "n", "next")

    def __init__(self, ms: int, n: int, event: Quote | Book) -> None:
        self.ms = ms
        self.n = n
        self.event = event
        self.next: Input | None = None
        """The next of this venue in the stream, which is not of an older epoch."""
        self._sides: tuple[Side, Side] | None = None

    @property
    def place(self) -> tuple[int, int]:
        """Its id."""
        return self.ms, self.n

    @property
    def sides(self) -> tuple[Side, Side]:
        """Bid and ask, each with its size, as a leg has them: a side that cannot be computed with is none."""
        if self._sides is None:
            event = self.event
            if isinstance(event, Quote):
                bid, ask = (event.bid_price, event.bid_size), (event.ask_price, event.ask_size)
            else:
                bid, ask = event.bids[0] if event.bids else _NONE, event.asks[0] if event.asks else _NONE
            self._sides = bid if is_price(*bid) else _NONE, ask if is_price(*ask) else _NONE
        return self._sides

    @property
    def is_good(self) -> bool:
        """Whether a leg has no fault of its own because of it: it is live, and its bid is below its ask."""
        (bid, _), (ask, _) = self.sides
        return self.event.state is FeedState.LIVE and (bid is None or ask is None or bid < ask)

    def text(self) -> str:
        """Return it as it is shown in a difference."""
        return text_of(self.event, self.ms, self.n)


class PriceStream:
    """The quotes, or the books, of all venues in one instrument, in the order of the stream."""

    def __init__(self) -> None:
        self.first_ms: int | None = None
        """When the recording of this stream began; None: it has no entry."""
        self._inputs: dict[Key, Input] = {}
        self._newest: dict[str, Input] = {}
        self._named: dict[str, set[Key]] = {}
        self._count = 0

    def add(self, ms: int, n: int, event: Quote | Book) -> None:
        """Add the next entry of the stream."""
        if self.first_ms is None:
            self.first_ms = ms
        one = Input(ms, n, event)
        self._inputs[event.venue, event.epoch, event.seq] = one
        before = self._newest.get(event.venue)
        if before is None or event.epoch >= before.event.epoch:
            if before is not None:
                before.next = one
            self._newest[event.venue] = one
        self._count += 1
        if not self._count % PRUNE_EVERY:
            self._prune(ms - KEPT_MS)

    def get(self, venue: str, epoch: int, seq: int) -> Input | None:
        """Return a recorded event; None: it was not recorded, or is too old."""
        return self._inputs.get((venue, epoch, seq))

    def keep(self, by: str, keys: Iterable[Key]) -> None:
        """Keep these until the next call with the same `by`, however old they are."""
        self._named[by] = set(keys)

    def after(self, one: Input) -> Iterator[Input]:
        """Yield the following entries of its venue."""
        found = one.next
        while found is not None:
            yield found
            found = found.next

    def _prune(self, before_ms: int) -> None:
        named = set().union(*self._named.values()) if self._named else set()
        spent = []
        for key, one in self._inputs.items():
            if one.ms >= before_ms:
                break
            if key not in named and self._newest.get(key[0]) is not one:
                spent.append(key)
        for key in spent:
            del self._inputs[key]
