"""The bytes of one write, read back as clients do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from crosstape_gateway.hub.item import Item
from crosstape_gateway.hub.wire import MESSAGE_BYTES, Options, Transfer, chunk_of
from crosstape_gateway.whole_numbers import as_text

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | TEXT | st.sampled_from(['"a_ts":1', 'x_ts":5', '\\"epoch":2', "ts\\"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXT | st.sampled_from(["ts", "open_ts", "epoch", "seq", "its"]), inner, max_size=4)
    ),
    max_leaves=12,
)


def compact(value: object) -> bytes:
    """As on the tape."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def with_text(value: Any, name: str = "") -> Any:
    """What `as_text` should make of it, by way of objects."""
    if isinstance(value, dict):
        return {key: with_text(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_text(inner) for inner in value]
    wanted = name in ("ts", "epoch") or (name.endswith("_ts") and all(c == "_" or "a" <= c <= "z" for c in name))
    return str(value) if wanted and isinstance(value, int) and not isinstance(value, bool) else value


@given(JSON)
def test_integers_get_quotes_and_strings_stay_as_they_are(value: object) -> None:
    """Whatever a string holds, it is not changed, and the result is what a client with big integers would make."""
    assert json.loads(as_text(compact(value))) == with_text(value)


@given(st.lists(JSON, min_size=1, max_size=6), st.sampled_from(["", "1526919030474-55"]))
def test_server_sent_events_read_back(values: list[object], last_id: str) -> None:
    """Each message is one event without a name; the id is the last one's, so a browser remembers it when it has all."""
    items = [Item(compact(value)) for value in values]

    body = chunk_of(items, Options(Transfer.SSE), last_id)

    events = body.decode().split("\n\n")
    assert events.pop() == ""
    fields = [dict(line.split(": ", 1) for line in event.split("\n")) for event in events]
    assert [json.loads(field["data"]) for field in fields] == values
    assert [field.get("id", "") for field in fields] == [""] * (len(values) - 1) + [last_id]
    chunked = chunk_of(items, Options(Transfer.SSE_CHUNKED), last_id)
    size, _, rest = chunked.partition(b"\r\n")
    assert rest == body + b"\r\n"
    assert int(size, 16) == len(body)


@pytest.mark.parametrize("size", [0, 106, 108, 110, 65_516, 65_518, 3 * MESSAGE_BYTES])
@pytest.mark.parametrize("count", [1, 3])
async def test_websocket_messages_read_back(size: int, count: int) -> None:
    """aiohttp's own parser reads the frames, whatever their length; lines are whole, and messages are not much longer than the limit."""
    values = [{"n": number, "text": "ä" * (size // 2)} for number in range(count)]
    chunk = chunk_of([Item(compact(value)) for value in values], Options(Transfer.WEBSOCKET))

    async def serve(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        assert request.transport is not None
        request.transport.write(chunk)
        await response.receive()
        return response

    app = web.Application()
    app.add_routes([web.get("/", serve)])
    lines: list[str] = []
    async with TestServer(app) as server, ClientSession() as http, http.ws_connect(server.make_url("/"), max_msg_size=0) as socket:
        while len(lines) < count:
            text = await socket.receive_str(timeout=20)
            assert len(text.encode()) <= MESSAGE_BYTES + size + 100
            lines += text.split("\n")

    assert [json.loads(line) for line in lines] == values


def test_candle_updates_wrap_events_alone() -> None:
    """Messages of the gateway stay as they are."""
    options = Options(Transfer.SSE, candle_updates=True, quote_integers=True)

    body = chunk_of([Item(b'{"open_ts":1}', "bar:1m:A"), Item(b'{"type":"heartbeat","ts":2}')], options)

    assert body == b'data: {"type":"candle_update","candle":{"open_ts":"1"}}\n\ndata: {"type":"heartbeat","ts":"2"}\n\n'
