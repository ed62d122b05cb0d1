"""Answers from last values: consolidated quotes, those of venues, consolidated books, and whatever topics name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from aiohttp import web

from crosstape_gateway.errors import RequestError
from crosstape_gateway.parts import PARTS, Parts
from crosstape_gateway.rest import bus
from crosstape_gateway.rest.answers import rows_answer
from crosstape_gateway.rest.entries import is_event
from crosstape_gateway.rest.instruments import ensure_known, instrument, instruments, venue
from crosstape_gateway.rest.parameters import Parameters
from crosstape_gateway.symbols import instrument_of
from crosstape_gateway.topics import ALL, VENUE, Topic
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE

QUOTES: Final = ("instrument", "symbol", "venue", "ints")
DEPTH: Final = ("instrument", "symbol", "ints")
LAST: Final = ("topics", "ints")
LATE: Final = ":late"
"""How the field of an entry ends that is not the last value, only the last on the stream."""


async def quotes(request: web.Request) -> web.Response:
    """Consolidated quotes of one instrument or of all; with `venue`, that venue's own quotes."""
    parts = request.app[PARTS]
    parameters = Parameters(request.query, QUOTES)
    as_text = parameters.whole_numbers_as_text()
    of = await venue(parts, parameters) or CONSOLIDATED
    kind = "cbbo" if of == CONSOLIDATED else "quote"
    names = await instruments(parts, parameters, kind)
    rows = await last_rows(parts, [Topic(kind, name, of) for name in names])
    return rows_answer("quotes", rows, whole_numbers_as_text=as_text)


async def depth(request: web.Request) -> web.Response:
    """The consolidated book of an instrument."""
    parts = request.app[PARTS]
    parameters = Parameters(request.query, DEPTH)
    as_text = parameters.whole_numbers_as_text()
    rows = await last_rows(parts, [Topic("depth", await instrument(parts, parameters))])
    return rows_answer("depths", rows, whole_numbers_as_text=as_text)


async def last(request: web.Request) -> web.Response:
    """The newest event of each venue, of each topic."""
    parts = request.app[PARTS]
    parameters = Parameters(request.query, LAST)
    as_text = parameters.whole_numbers_as_text()
    texts = [text for part in parameters.required("topics", example="cbbo:BTC-USDT").split(",") if (text := part.strip())]
    if not texts:
        raise RequestError(400, "no_topics", "topics: name one at least, such as topics=cbbo:BTC-USDT")
    if len(texts) > parts.settings.topics_per_client:
        most = parts.settings.topics_per_client
        raise RequestError(
            400, "too_many_topics", f"topics: there are {len(texts)}; at most {most} are allowed (gateway.topics_per_client)"
        )
    await ensure_known(parts)
    topics = [_known(parts, Topic.parse(text)) for text in texts]
    async with bus.large_read(request.app):  # it may be all that there is
        rows = await last_rows(parts, topics)
    most = parts.settings.rows
    return rows_answer("events", rows[:most], more=len(rows) > most, whole_numbers_as_text=as_text)


async def last_rows(parts: Parts, topics: Sequence[Topic]) -> list[bytes]:
    """Returns the newest events of each venue, of these topics, each once."""
    wanted: dict[tuple[str, str], set[str]] = {}
    for topic in topics:
        for kind, name in sorted(parts.catalogue.matching([topic])):
            place, of = (("status", VENUE_WIDE), name) if kind == VENUE else ((kind, name), topic.venue)
            wanted.setdefault(place, set()).add(of)
    places = list(wanted)
    async with bus.reading(parts):
        found = await bus.hashes(parts, places)
    return [data for place, values in zip(places, found, strict=True) for data in _chosen(values.items(), wanted[place])]


def _chosen(values: Iterable[tuple[str, bytes]], venues: set[str]) -> Iterator[bytes]:
    """Yields the last values of these venues; an empty name stands for all. What is no event of ours is left out."""
    for field, data in sorted(values):
        name = field.partition(":")[0]
        if ("" in venues or name in venues) and not field.endswith(LATE) and is_event(data):
            yield data


def _known(parts: Parts, topic: Topic) -> Topic:
    """Returns the topic with the instrument as the tape spells it. Raises `RequestError` for an unknown instrument or venue."""
    if topic.kind == VENUE:
        if topic.instrument != ALL:
            Parameters({"venue": topic.instrument}, ("venue",)).venue(parts.catalogue.venues)
        return topic
    if topic.venue:
        Parameters({"venue": topic.venue}, ("venue",)).venue(sorted({*parts.catalogue.venues, CONSOLIDATED}))
    return topic if topic.is_pattern else Topic(topic.kind, instrument_of(topic.instrument, parts.catalogue.instruments), topic.venue)
