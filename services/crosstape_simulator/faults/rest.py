"""What faults do to REST answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from aiohttp import web

from crosstape_simulator.faults import lists, rewrite
from crosstape_simulator.faults.active import ActiveFault, State
from crosstape_simulator.faults.connections import POLL_S, abort
from crosstape_simulator.faults.messages import named
from crosstape_simulator.faults.spec import Halt, OddList, Reset, RestFault, RestHang, RestOld, RestStatus, RestTruncate, Skew
from crosstape_simulator.server.rest import Answer, Rest, answer
from crosstape_simulator.server.server import Make, response

DEPTH: Final = "/api/v3/depth"
LEVELS: Final = "5000"
WITH_RETRY_AFTER: Final = (418, 429, 503)

PAGE: Final = b"<html><head><title>%d</title></head><body><h1>%s</h1></body></html>"

_BUSY: Final[Mapping[str, object]] = {
    "binance": {"code": -1003, "msg": "Too much request weight used; please use WebSocket Streams instead."},
    "coinbase": {"message": "Public rate limit exceeded"},
    "kraken": {"error": ["EGeneral:Too many requests"]},
}
_BANNED: Final = {"code": -1003, "msg": "Way too much request weight used; IP banned. Please use WebSocket Streams instead."}
_FAILED: Final[Mapping[str, object]] = {
    "binance": {"code": -1008, "msg": "Server is currently overloaded with other requests. Please try again in a few minutes."},
    "coinbase": {"message": "Internal server error"},
    "kraken": {"error": ["EService:Unavailable"]},
}


_REFUSED: Final[Mapping[str, Mapping[int, object]]] = {
    "binance": {
        403: {"code": 0, "msg": "The request was blocked."},
        451: {"code": 0, "msg": "Service unavailable from a restricted location."},
    },
    "coinbase": {403: {"message": "Forbidden"}, 451: {"message": "Not available in your jurisdiction"}},
    "kraken": {
        200: {"error": ["EAPI:Rate limit exceeded"]},
        403: {"error": ["EGeneral:Permission denied"]},
        451: {"error": ["EGeneral:Not available in your jurisdiction"]},
    },
}


async def answered(
    venue: str,
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
    made = old.found(request, running) or make(_earlier(request.query, by_ns) if by_ns else request.query)
    symbol = request.query.get("symbol", "")
    for one in running:
        first = rewrite.first_id(made.body) if isinstance(one.fault, Reset) and request.path == DEPTH else None
        if first is not None and isinstance(one.fault, Reset) and named(one.fault.instrument, symbol, one.names(venue)):
            one.acted += 1
            made = Answer(rewrite.with_lower_ids(made.body, base(symbol, first)), made.status, made.headers)
        if isinstance(one.fault, Halt | OddList) and lists.is_list(request.path):
            made, count = lists.changed(venue, request.path, made, one.fault, one.names(venue))
            one.acted += count
    if by_ns:
        made = Answer(rewrite.shifted_answer(made.body, by_ns), made.status, made.headers)
    return response(made)


def _is_of_all(fault: Skew) -> bool:
    """Whether a venue's clock is wrong as such."""
    return fault.kind == "all" and fault.instrument == "all"


def _earlier(query: Mapping[str, str], ns: int) -> Mapping[str, str]:
    """What is asked for by the venue's wrong clock, by the right one: Kraken's `since`, in ns or seconds."""
    since = query.get("since", "")
    if not since.isdecimal():
        return query
    is_seconds = len(since) <= 10
    return {**query, "since": str(max(0, int(since) - (ns // 1_000_000_000 if is_seconds else ns)))}


def refusal(venue: str, fault: RestStatus) -> Answer:
    """In the venue's words, or in others in its form."""
    status = fault.status
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after and status in WITH_RETRY_AFTER else {}
    match fault.body:
        case "empty":
            return Answer(b"", status, headers)
        case "html":
            return Answer(PAGE % (status, fault.reason.encode() or b"Access denied"), status, headers)
    usual = _FAILED[venue] if status >= 500 else _BANNED if status == 418 else _REFUSED[venue].get(status, _BUSY[venue])
    return answer(_with_reason(usual, fault.reason) if fault.reason else usual, status, headers)


def _with_reason(usual: object, reason: str) -> object:
    match usual:
        case {"code": code}:
            return {"code": code, "msg": reason}
        case {"message": _}:
            return {"message": reason}
        case _:
            return {"error": [reason]}


async def _truncated(request: web.Request, made: Answer) -> web.StreamResponse:
    """Half of the body under the whole one's length, then the end of the connection."""
    cut = web.StreamResponse(status=made.status, headers=made.headers)
    cut.content_type = "application/json"
    cut.content_length = len(made.body)
    await cut.prepare(request)
    await cut.write(made.body[: len(made.body) // 2])
    if request.transport is not None:
        request.transport.close()  # what was written still goes out
    return cut


class OldSnapshots:
    """Depth answers as they were when a fault began, by symbol."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, str], bytes] = {}

    def begin(self, running: ActiveFault, rest: Rest, now: int, symbols: Sequence[str]) -> None:
        """Ask for them now."""
        fault = running.fault
        assert isinstance(fault, RestOld)
        for symbol in symbols:
            if named(fault.instrument, symbol, running.names("binance")):
                made = rest.answer(DEPTH, {"symbol": symbol, "limit": LEVELS}, now)
                if made.status == 200:
                    self._kept[running.id, symbol] = made.body

    def end(self, running: ActiveFault) -> None:
        """Forget them."""
        self._kept = {key: body for key, body in self._kept.items() if key[0] != running.id}

    def found(self, request: web.Request, running: Sequence[ActiveFault]) -> Answer | None:
        """The kept one, with as many levels as are asked for."""
        if request.path != DEPTH:
            return None
        for one in running:
            body = self._kept.get((one.id, request.query.get("symbol", "")))
            if body is not None:
                one.acted += 1
                limit = request.query.get("limit", "100")
                return Answer(_levels(body, int(limit) if limit.isdecimal() else 100))
        return None


class _Depth(msgspec.Struct):
    last_update_id: int = msgspec.field(name="lastUpdateId")
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


def _levels(body: bytes, limit: int) -> bytes:
    depth = msgspec.json.decode(body, type=_Depth)
    return msgspec.json.encode(_Depth(depth.last_update_id, depth.bids[:limit], depth.asks[:limit]))
