"""Answers which edges are open: pairs of venues whose prices cross after fees."""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

import msgspec
from aiohttp import web

from crosstape_gateway.parts import PARTS, Parts
from crosstape_gateway.rest import bus
from crosstape_gateway.rest.answers import rows_answer
from crosstape_gateway.rest.entries import Budget, backwards, decoded, is_event
from crosstape_gateway.rest.instruments import instruments
from crosstape_gateway.rest.parameters import Parameters
from crosstape_schemas import EdgeChange

EDGES: Final = ("instrument", "symbol", "ints")


class _Edge(msgspec.Struct, frozen=True, gc=False):
    epoch: int
    change: EdgeChange
    buy_venue: str
    sell_venue: str


_decode: Final = msgspec.json.Decoder(_Edge).decode


async def edges(request: web.Request) -> web.Response:
    """Open edges of one instrument or of all: the newest event of each."""
    parts = request.app[PARTS]
    parameters = Parameters(request.query, EDGES)
    as_text = parameters.whole_numbers_as_text()
    names = await instruments(parts, parameters, "edge")
    rows: list[bytes] = []
    async with bus.large_read(request.app), bus.reading(parts):
        budget = Budget()
        for name in names:
            rows += await open_edges(parts, parts.keys.stream("edge", name), budget)
    return rows_answer("edges", rows, more=budget.cut, whole_numbers_as_text=as_text)


async def open_edges(parts: Parts, stream: str, budget: Budget) -> list[bytes]:
    """Returns the newest event of each edge that is open, oldest first.

    An edge is open if the newest event of its pair of venues does not close it. Those of an older start of the aggregator than the newest
    are closed: reading ends there.
    """
    newest: dict[tuple[str, str], bytes | None] = {}
    epoch: int | None = None
    async with aclosing(backwards(parts, stream, ("+", "-"), 0, budget)) as entries:
        async for _, data in entries:
            if (edge := decoded(_decode, data)) is None or not is_event(data):
                continue
            epoch = edge.epoch if epoch is None else epoch
            if edge.epoch < epoch:
                break
            newest.setdefault((edge.buy_venue, edge.sell_venue), None if edge.change is EdgeChange.CLOSE else data)
    return [last for last in reversed(newest.values()) if last is not None]
