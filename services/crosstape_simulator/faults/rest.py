"""What faults do to REST answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

from crosstape_simulator.faults import lists
from crosstape_simulator.faults.active import ActiveFault, State
from crosstape_simulator.faults.connections import POLL_S, abort
from crosstape_simulator.faults.messages import named
from crosstape_simulator.faults.spec import Halt, OddList, Reset, RestFault, RestHang, RestOld, RestStatus, RestTruncate, Skew
from crosstape_simulator.server.rest import Answer, Rest, answer
from crosstape_simulator.server.server import Make, response
from crosstape_simulator.venues.spec import SimulatedVenue

WITH_RETRY_AFTER: Final = (418, 429, 503)

PAGE: Final = b"<html><head><title>%d</title></head><body><h1>%s</h1></body></html>"


async def answered(
    venue: SimulatedVenue,
    request: web.Request,
    *,
    running: Sequence[ActiveFault],
    old: OldSnapshots,
    base: Callable[[str, int], int],
    make: Make,
) -> web.StreamResponse:
    """The answer as the active faults leave it."""
    for one in running:
        fault = one.fault
        if not isinstance(fault, RestFault) or one.spent or not request.path.startswith(fault.path):
            continue
        match fault:
            case RestStatus():
                one.acted += 1
                return response(refusal(venue, fault))
            case RestHang():
                one.acted += 1
                while one.state is State.ACTIVE and request.transport is not None and not request.transport.is_closing():
                    await asyncio.sleep(POLL_S)
                abort(request)
                return web.Response(status=503)
            case RestTruncate():
                one.acted += 1
                return await _truncated(request, make(request.query))
    by_ns = sum(round(one.fault.by * 1e9) for one in running if isinstance(one.fault, Skew) and _is_of_all(one.fault))
    made = old.found(request, running) or make(venue.rest.shift_query(request.query, by_ns) if by_ns else request.query)
    symbol = venue.rest.book.symbol(request.path, request.query) if venue.rest.book is not None else None
    for one in running:
        if isinstance(one.fault, Reset) and symbol is not None:
            made = _with_lower_ids(venue, one, symbol, made, base)
        if isinstance(one.fault, Halt | OddList) and lists.is_list(venue, request.path):
            made, count = lists.changed(venue, request.path, made, one.fault, one.names(venue.id))
            one.acted += count
    if by_ns:
        made = Answer((venue.shift_answer or venue.shift)(made.body, by_ns), made.status, made.headers)
    return response(made)


def _is_of_all(fault: Skew) -> bool:
    """Whether the fault shifts the venue's clock for all data, REST included."""
    return fault.kind == "all" and fault.instrument == "all"


def _with_lower_ids(venue: SimulatedVenue, running: ActiveFault, symbol: str, made: Answer, base: Callable[[str, int], int]) -> Answer:
    """A snapshot of a venue whose update ids have begun again."""
    first = venue.ids.first(made.body) if venue.ids is not None else None
    if venue.ids is None or first is None or not isinstance(running.fault, Reset):
        return made
    if not named(running.fault.instrument, symbol, running.names(venue.id)):
        return made
    running.acted += 1
    return Answer(venue.ids.lowered(made.body, base(symbol, first)), made.status, made.headers)


def refusal(venue: SimulatedVenue, fault: RestStatus) -> Answer:
    """A refusal as the venue writes it, or a page or nothing in its place."""
    status = fault.status
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after and status in WITH_RETRY_AFTER else {}
    match fault.body:
        case "empty":
            return Answer(b"", status, headers)
        case "html":
            return Answer(PAGE % (status, fault.reason.encode() or b"Access denied"), status, headers)
    return answer(venue.rest.refusal(status, fault.reason), status, headers)


async def _truncated(request: web.Request, made: Answer) -> web.StreamResponse:
    """Send half of the body under the length of all of it, then end the connection."""
    cut = web.StreamResponse(status=made.status, headers=made.headers)
    cut.content_type = "application/json"
    cut.content_length = len(made.body)
    await cut.prepare(request)
    await cut.write(made.body[: len(made.body) // 2])
    if request.transport is not None:
        request.transport.close()  # what was written still goes out
    return cut


class OldSnapshots:
    """Snapshots of books by REST as they were when a fault became active, by symbol."""

    def __init__(self, venue: SimulatedVenue) -> None:
        self._venue = venue
        self._kept: dict[tuple[int, str], bytes] = {}

    def keep(self, running: ActiveFault, rest: Rest, now: int, symbols: Sequence[str]) -> None:
        """Ask for the snapshots and keep them."""
        fault, book = running.fault, self._venue.rest.book
        assert isinstance(fault, RestOld)
        assert book is not None
        for symbol in symbols:
            if named(fault.instrument, symbol, running.names(self._venue.id)):
                made = rest.answer(*book.request(symbol), now)
                if made.status == 200:
                    self._kept[running.id, symbol] = made.body

    def forget(self, running: ActiveFault) -> None:
        """Forget the snapshots of a fault."""
        self._kept = {key: body for key, body in self._kept.items() if key[0] != running.id}

    def found(self, request: web.Request, running: Sequence[ActiveFault]) -> Answer | None:
        """The kept snapshot with as many levels as are asked for; None: the request is for something else."""
        book = self._venue.rest.book
        symbol = book.symbol(request.path, request.query) if book is not None else None
        if book is None or symbol is None:
            return None
        for one in running:
            body = self._kept.get((one.id, symbol))
            if body is not None:
                one.acted += 1
                return Answer(book.cut(body, request.query))
        return None
