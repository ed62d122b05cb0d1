"""What is done about the feeds of one connection that have stopped: what the watchdog finds, carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import structlog

from crosstape_connector.connection.context import ConnectionContext
from crosstape_connector.errors import ConnectionLost
from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.keys import FeedKey, Topic

log = structlog.get_logger(__name__)


def treat(
    desk: ConnectionContext, feeds: Mapping[Topic, Sequence[FeedRecord]], resubscribe: Callable[[Topic], bool], *, heard_ts: int, now: int
) -> None:
    """Call stale what has stopped, and subscribe it anew. Raises `ConnectionLost` when that has not helped and no other feed speaks."""
    topics = {FeedKey(record.kind, record.instrument): topic for topic, records in feeds.items() for record in records}
    records = _trading(desk, feeds)
    for stall in desk.watchdog.look(records, heard_ts, now):
        desk.feeds.doubted(stall.feed)
        desk.question(stall.feed.instrument)
        if not stall.attempt:
            continue
        desk.counters.stalls[stall.feed.kind] += 1
        log.warning(
            "feed.stale",
            venue=desk.venue.id,
            kind=stall.feed.kind,
            instrument=stall.feed.instrument,
            reason=stall.reason,
            attempt=stall.attempt,
        )
        desk.outlet.put(desk.feeds.stalled(stall.feed, now, stall.reason))
        resubscribe(topics[stall.feed])
    if desk.feeds.requests:
        desk.resync()
    if desk.watchdog.hopeless(records):
        raise ConnectionLost("acknowledged, but none of its feeds speaks")


def futile(desk: ConnectionContext, feeds: Mapping[Topic, Sequence[FeedRecord]]) -> Sequence[FeedKey]:
    """Those for which the connection is to be replaced, others living on it."""
    return desk.watchdog.futile(_trading(desk, feeds))


def _trading(desk: ConnectionContext, feeds: Mapping[Topic, Sequence[FeedRecord]]) -> list[FeedRecord]:
    """The feeds of instruments that trade: a halt explains any silence."""
    return [record for of in feeds.values() for record in of if not desk.feeds.halted(record.instrument)]
