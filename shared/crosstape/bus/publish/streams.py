"""Finds the stream that an event belongs to, and makes it for the first such event."""

from __future__ import annotations

from collections.abc import Sequence

from crosstape.bus.publish.candle_stream import CandleStream, CorrectionStream
from crosstape.bus.publish.producer import Producer
from crosstape.bus.publish.stream import Queue, Stream
from crosstape.errors import BusError
from crosstape_schemas import KIND_OF, Bar, Candle, Event, feed_kind


class Streams:
    """The streams of one producer. `queues` are in the order of the partitions. `corrects`: see `Publisher`."""

    def __init__(self, producer: Producer, queues: Sequence[Queue], *, corrects: bool = False) -> None:
        self.known: dict[type[Event], dict[str, Stream]] = {cls: {} for cls in KIND_OF}
        """Type of event → instrument → stream; no candles and bars. (`Publisher.publish_all` looks here inline.)"""
        self.venue = ""
        """The one venue of all events but bars; empty before the first."""
        self._candles: dict[tuple[str, str, str], Stream] = {}
        """(feed kind, instrument, venue) → stream of candles or bars. They are rare beside quotes and trades, whose look-up by type and
        instrument stays as it is. An aggregator publishes bars of many venues."""
        self._by_instrument: dict[str, list[Stream]] = {}  # of candles and bars
        self._of_candles: type[Stream] = CorrectionStream if corrects else CandleStream
        self._producer = producer
        self._queues = queues

    def find(self, event: Event) -> Stream:
        """Returns the stream that this event belongs to. Raises `BusError` for an event of another venue, unless it is a bar."""
        try:
            return self.known[event.__class__][event.instrument]
        except KeyError:
            return self.find_other(event)

    def find_other(self, event: Event) -> Stream:
        """The same as `find`, for an event whose stream is not in `known`: a candle or bar, or the first event of its stream."""
        if isinstance(event, Candle | Bar):
            key = feed_kind(event), event.instrument, event.venue
            if (candles := self._candles.get(key)) is None:
                candles = self._candles[key] = self._make(event, self._of_candles)
                candles.queue.streams.append(candles)
                self._by_instrument.setdefault(event.instrument, []).append(candles)
            return candles
        stream = self._make(event, Stream)
        for other in self.known.values():  # a venue's own stream takes both its statuses and its gaps, under one numbering
            if (found := other.get(event.instrument)) is not None and found.key == stream.key:
                stream = found
                break
        else:
            stream.queue.streams.append(stream)
        self.known[type(event)][event.instrument] = stream
        return stream

    def candles(self, instrument: str) -> Sequence[Stream]:
        """Returns the streams of candles and bars of an instrument."""
        return self._by_instrument.get(instrument, ())

    def _make(self, event: Event, cls: type[Stream]) -> Stream:
        if not isinstance(event, Bar):
            if self.venue and event.venue != self.venue:
                raise BusError(f"{self._producer.name} publishes {self.venue}, not {event.venue}")
            self.venue = event.venue
        keys = self._producer.keys
        queue = self._queues[keys.partition(event.instrument)]
        return cls(event, keys, getattr(self._producer.settings.max_len, KIND_OF[type(event)]), queue)
