"""Writes answers: rows as they are on the tape, byte for byte, in one JSON object."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from crosstape_gateway.whole_numbers import as_text

_encode: Final = msgspec.json.Encoder().encode


def rows_answer(
    name: str, rows: Iterable[bytes], *, more: bool = False, ids_as: Mapping[str, str] | None = None, whole_numbers_as_text: bool = False
) -> web.Response:
    """Returns `{NAME: [rows], "ts": the gateway's clock in ns, "more": …}`, and with it the ids in `ids_as`, such as `before`."""
    rest = _encode({"ts": time.time_ns(), "more": more, **(ids_as or {})})
    body = b'{"%s":[%s],%s' % (name.encode(), b",".join(rows), rest[1:])
    return json_answer(as_text(body) if whole_numbers_as_text else body)


def object_answer(content: Mapping[str, Any], *, status: int = 200, whole_numbers_as_text: bool = False) -> web.Response:
    """Returns an answer of this content."""
    body = _encode(content)
    return json_answer(as_text(body) if whole_numbers_as_text else body, status=status)


def json_answer(body: bytes, *, status: int = 200) -> web.Response:
    """Returns an answer with this JSON. It is of this moment: nobody may keep it."""
    return web.Response(body=body, status=status, content_type="application/json", headers={"Cache-Control": "no-store"})
