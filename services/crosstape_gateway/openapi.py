"""Makes the OpenAPI 3.1 document of the gateway from its structs, docstrings and lists of parameters, and serves it."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import msgspec
from aiohttp import web

from crosstape_gateway import messages
from crosstape_gateway.access import session_routes, sessions
from crosstape_gateway.openapi_texts import DESCRIPTION, ERRORS, INSTRUMENT_NEEDED, PARAMETERS, STREAM_NOTE, WEBSOCKET_NOTE
from crosstape_gateway.rest import edges, history, inventory, last_values, operation
from crosstape_gateway.streams import sse
from crosstape_gateway.streams.websocket import NAMES as WEBSOCKET_NAMES
from crosstape_gateway.streams.websocket import Request as WebSocketRequest
from crosstape_schemas import KINDS
from crosstape_schemas.export import CONTRACT_VERSION, PARTS, definitions_of

REF: Final = "#/components/schemas/{name}"
_JSON: Final = "application/json"

MESSAGES: Final[tuple[type, ...]] = (
    messages.Connected,
    messages.Subscribed,
    messages.Unsubscribed,
    messages.Missed,
    messages.Bus,
    messages.Heartbeat,
    messages.Failed,
    sse.CandlesConnected,
)
"""What the gateway says itself on streams."""


@cache
def document() -> dict[str, Any]:
    """Returns the OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "crosstape gateway",
            "version": CONTRACT_VERSION,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The gateway that serves this document."}],
        "security": [{}, {"bearer": []}, {"session": []}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "parameters": {name: _parameter(name) for name in sorted(PARAMETERS)},
            "responses": {str(status): _error(text) for status, text in ERRORS.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token of `gateway.tokens_file`."},
                "session": {"type": "apiKey", "in": "cookie", "name": sessions.COOKIE, "description": "Of `POST /api/session`."},
            },
        },
    }


async def openapi(request: web.Request) -> web.Response:
    """The OpenAPI document of this gateway."""
    body, tag = _body()
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    if any(one.value in (tag, "*") for one in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type=_JSON, headers=headers)


routes: Final[list[web.RouteDef]] = [web.get("/api/openapi.json", openapi)]


@cache
def _body() -> tuple[bytes, str]:
    body = msgspec.json.encode(document())
    return body, hashlib.sha256(body).hexdigest()[:32]


def _paths() -> dict[str, Any]:
    rows = {
        "/api/venues": _get(inventory.venues, inventory.VENUES, _rows("venues", "VenueState")),
        "/api/instruments": _get(inventory.tape_instruments, inventory.INSTRUMENTS, _rows("instruments", "InstrumentOnTape")),
        "/api/quotes": _get(last_values.quotes, last_values.QUOTES, _rows("quotes", "Cbbo", "Quote")),
        "/api/depth": _get(last_values.depth, last_values.DEPTH, _rows("depths", "Depth"), note=INSTRUMENT_NEEDED),
        "/api/last": _get(last_values.last, last_values.LAST, _rows("events", *_kinds()), required="topics"),
        "/api/trades": _get(history.trades, history.TRADES, _rows("trades", "Trade", ids=True), note=INSTRUMENT_NEEDED),
        "/api/bars": _get(history.bars, history.BARS, _rows("bars", "Bar"), note=INSTRUMENT_NEEDED),
        "/api/candles": _get(history.candles, history.CANDLES, _rows("candles", "Candle", "Bar"), note=INSTRUMENT_NEEDED),
        "/api/gaps": _get(history.gaps, history.GAPS, _rows("gaps", "Gap")),
        "/api/edges": _get(edges.edges, edges.EDGES, _rows("edges", "Edge")),
    }
    streams = {
        "/api/stream": _stream(sse.stream, sse.STREAM_NAMES, "Events of topics as Server-Sent Events.", required="topics"),
        "/api/candles/stream": _stream(
            sse.candles, sse.CANDLE_NAMES, "Updates of one instrument's candles as Server-Sent Events.", required="symbol timeframe"
        ),
        "/ws": _upgrade(),
    }
    session = _session_paths()
    others = {
        "/api/openapi.json": _open(openapi, {"type": "object"}),
        "/healthz": _open(operation.healthz, {"type": "object"}),
        "/readyz": _open(operation.readyz, {"type": "object"}, {"503": {"description": "The bus does not answer."}}),
        "/metrics": _plain(operation.metrics, "text/plain"),
        "/": _page("The dashboard."),
        "/page/{path}": _page("A file of the dashboard.")
        | {"parameters": [{"name": "path", "in": "path", "required": True, "schema": {"type": "string"}}]},
    }
    return rows | streams | {"/api/session": session} | others


def _get(
    handler: Callable[..., Any], names: Sequence[str], answer: dict[str, Any], *, required: str = "", note: str = ""
) -> dict[str, Any]:
    return {
        "get": {
            **_head(handler),
            **({"description": note} if note else {}),
            "parameters": _named(names, required),
            "responses": {"200": _content(answer), **_errors(400, 401, 403, 404, 429, 503)},
        }
    }


def _stream(handler: Callable[..., Any], names: frozenset[str], summary: str, *, required: str) -> dict[str, Any]:
    answer = {"description": STREAM_NOTE, "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    head = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}, "description": "Sent by EventSource: as `after`."}
    return {
        "get": {
            "summary": summary,
            "operationId": f"stream_{handler.__name__}",
            "parameters": [*_named(sorted(names), required), head],
            "responses": {"200": answer, **_errors(400, 401, 403, 404, 429)},
        }
    }


def _upgrade() -> dict[str, Any]:
    return {
        "get": {
            "summary": "Events of topics over a WebSocket.",
            "description": WEBSOCKET_NOTE,
            "operationId": "websocket",
            "parameters": _named(sorted(WEBSOCKET_NAMES), ""),
            "responses": {"101": {"description": "The connection is a WebSocket now."}, **_errors(400, 401, 403, 429)},
        }
    }


def _session_paths() -> dict[str, Any]:
    session = _content({"$ref": REF.format(name="Session")})
    body = {"required": True, "content": {_JSON: {"schema": {"$ref": REF.format(name="SignIn")}}}}
    return {
        "get": {**_head(session_routes.show, "show_session"), "security": [], "responses": {"200": session, **_errors(429)}},
        "post": {
            **_head(session_routes.begin, "begin_session"),
            "security": [],
            "requestBody": body,
            "responses": {"200": session, **_errors(400, 401, 403, 404, 413, 429)},
        },
        "delete": {
            **_head(session_routes.end, "end_session"),
            "security": [],
            "responses": {"204": {"description": "The cookie is gone."}, **_errors(403, 429)},
        },
    }


def _open(handler: Callable[..., Any], schema: dict[str, Any], more: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"get": {**_head(handler), "security": [], "responses": {"200": _content(schema), **(more or {})}}}


def _plain(handler: Callable[..., Any], content_type: str) -> dict[str, Any]:
    answer = {"description": "As asked for.", "content": {content_type: {"schema": {"type": "string"}}}}
    return {"get": {**_head(handler), "responses": {"200": answer, **_errors(401, 403, 429)}}}


def _page(text: str) -> dict[str, Any]:
    return {"get": {"summary": text, "security": [], "responses": {"200": {"description": text}, **_errors(404, 429)}}}


def _head(handler: Callable[..., Any], name: str = "") -> dict[str, str]:
    return {"summary": inspect.cleandoc(handler.__doc__ or "").replace("\n", " "), "operationId": name or handler.__name__}


def _named(names: Sequence[str], required: str) -> list[dict[str, Any]]:
    """References to parameters; a required one is written out, because it is not required everywhere."""
    return [
        {**_parameter(name), "required": True} if name in required.split() else {"$ref": f"#/components/parameters/{name}"}
        for name in names
    ]


def _parameter(name: str) -> dict[str, Any]:
    text, schema, example = PARAMETERS[name]
    return {"name": name, "in": "query", "description": text, "schema": schema, "example": example}


def _rows(name: str, *types: str, ids: bool = False) -> dict[str, Any]:
    references = [{"$ref": REF.format(name=one)} for one in types]
    properties: dict[str, Any] = {
        name: {"type": "array", "items": references[0] if len(references) == 1 else {"oneOf": references}},
        "ts": {"type": "integer", "description": "The gateway's clock, ns."},
        "more": {"type": "boolean", "description": "Whether the tape has more of what was asked for than this answer."},
    }
    if ids:
        properties["before"] = {"type": "string", "description": "`before` for the rows before these."}
        properties["after"] = {"type": "string", "description": "`after` for the rows that come next."}
    return {"type": "object", "properties": properties, "required": [name, "ts", "more"], "additionalProperties": False}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "As asked for.", "content": {_JSON: {"schema": schema}}}


def _error(text: str) -> dict[str, Any]:
    return {"description": text, "content": {_JSON: {"schema": {"$ref": REF.format(name="Error")}}}}


def _errors(*statuses: int) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in statuses}


def _kinds() -> list[str]:
    return [cls.__name__ for cls in KINDS.values()]


def _schemas() -> dict[str, Any]:
    own = (inventory.VenueState, inventory.InstrumentOnTape, session_routes.Session, session_routes.SignIn, WebSocketRequest)
    found = definitions_of([*KINDS.values(), *PARTS, *MESSAGES, *own], REF)
    body = {
        "type": "object",
        "properties": {
            "code": {"type": "string", "description": "A constant word for programs: `unknown_instrument`."},
            "message": {"type": "string", "description": "For people: what is wrong, and where."},
        },
        "required": ["code", "message"],
    }
    found["Error"] = {
        "type": "object",
        "description": "Why a request was not served.",
        "properties": {"error": body},
        "required": ["error"],
    }
    return {name: found[name] for name in sorted(found)}
