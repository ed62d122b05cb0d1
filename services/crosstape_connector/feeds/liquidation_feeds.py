"""The liquidations of one venue. Each is published. They have no ids, so that a lost connection is a gap without a count. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_schemas import Event, Liquidation

_NOTHING: Final[tuple[Event, ...]] = ()


class LiquidationFeeds:
    """Applies liquidations to the feeds of their instruments."""

    def __init__(self, counts: Counter[str]) -> None:
        """`counts`: counts, as `unwanted`, liquidations of instruments without such a feed."""
        self._counts = counts
        self._records: dict[str, FeedRecord] = {}

    def add_feed(self, record: FeedRecord) -> None:
        """Publish the liquidations of this feed's instrument from now on."""
        self._records[record.instrument] = record

    def remove_instrument(self, instrument: str) -> None:
        """Remove the feed of this instrument."""
        self._records.pop(instrument, None)

    def apply(self, liquidation: Liquidation) -> Sequence[Event]:
        """Publish a liquidation."""
        record = self._records.get(liquidation.instrument)
        if record is None:
            self._counts["unwanted"] += 1
            return _NOTHING
        record.last = liquidation
        return [*record.receive(liquidation), liquidation]
