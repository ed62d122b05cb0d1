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
    context: ConnectionContext,
    feeds: Mapping[Topic, Sequence[FeedRecord]],
    resubscribe: Callable[[Topic], bool],
    *,
    heard_ts: int,
    now: int,
) -> None:
    """Call stale what has stopped, and subscribe it anew. Raises `ConnectionLost` when that has not helped and no other feed speaks."""
    topics = {FeedKey(record.kind, record.instrument): topic for topic, records in feeds.items() for record in records}
    records = _trading(context, feeds)
    for stall in context.watchdog.look(records, heard_ts, now):
        context.sink.publish(context.feeds.probe(stall.feed))
        context.question(stall.feed.instrument)
        if not stall.attempt:
            continue
        context.counters.stalls[stall.feed.kind] += 1
        log.warning(
            "feed.stale",
            venue=context.venue.id,
            kind=stall.feed.kind,
            instrument=stall.feed.instrument,
            reason=stall.reason,
            attempt=stall.attempt,
        )
        context.sink.publish(context.feeds.mark_stale(stall.feed, now, stall.reason))
        resubscribe(topics[stall.feed])
    if context.watchdog.hopeless(records):
        raise ConnectionLost("acknowledged, but none of its feeds speaks")


def futile(context: ConnectionContext, feeds: Mapping[Topic, Sequence[FeedRecord]]) -> Sequence[FeedKey]:
    """Those for which the connection is to be replaced, others living on it."""
    return context.watchdog.futile(_trading(context, feeds))


def _trading(context: ConnectionContext, feeds: Mapping[Topic, Sequence[FeedRecord]]) -> list[FeedRecord]:
    """The feeds of instruments that trade: a halt explains any silence."""
    return [record for of in feeds.values() for record in of if not context.feeds.is_halted(record.instrument)]
