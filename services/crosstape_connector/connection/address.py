"""Finds out where to connect: the address of the settings or of the venue's table, or the one that a venue grants for one connection."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote, urlencode

from crosstape_connector.connection.context import ConnectionContext
from crosstape_connector.errors import FRAME_ERRORS, ConnectFailed, FeedError, RestFailed, frame_error_kind
from crosstape_connector.venues.parsing.refusals import public
from crosstape_connector.venues.spec import Endpoint, GrantSource

ID: Final = "{id}"
"""In the query of a grant: stands for a text that no other connection has."""

HIDDEN: Final = "…"


class Address:
    """Where to connect. The query that a venue granted is secret: whatever is logged, published or captured must go through `hide`."""

    def __init__(self, url: str, granted: Mapping[str, str] | None = None, ping_s: float | None = None) -> None:
        """`granted`: the query that the venue granted; `ping_s`: how often it wants a ping."""
        self.ping_s = ping_s
        secrets = {text for value in (granted or {}).values() if ID not in value for text in (value, quote(value, safe="")) if text}
        self._secrets = sorted(secrets, key=len, reverse=True)
        query = {name: value.replace(ID, uuid.uuid4().hex) for name, value in (granted or {}).items()}
        self.url = f"{url}{'&' if '?' in url else '?'}{urlencode(query, quote_via=quote)}" if query else url
        self.shown = public(url)
        """The address without what is secret."""

    def hide(self, text: str) -> str:
        """Return the text without the secrets of this address."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def hide_in(self, frame: bytes) -> bytes:
        """Return the frame without the secrets of this address."""
        for secret in self._secrets:
            frame = frame.replace(secret.encode(), HIDDEN.encode())
        return frame

    @contextmanager
    def hiding(self) -> Iterator[None]:
        """Leave the secrets of this address out of every `FeedError` of the block."""
        try:
            yield
        except FeedError as exc:
            if self._secrets:
                exc.args = (self.hide(str(exc)),)
            raise


async def find_address(context: ConnectionContext, endpoint: Endpoint) -> Address:
    """Return where to connect now; asks the venue for a grant where it wants that. Raises `ConnectFailed`.

    A grant is for one connection, so it is never kept. An address in the settings replaces the granted one, not its query.
    """
    url = context.urls[endpoint.name]
    return Address(url) if endpoint.grant is None else await _granted(context, endpoint.grant, url if url != endpoint.url else "")


async def _granted(context: ConnectionContext, source: GrantSource, instead: str) -> Address:
    try:
        grant = source.parse(await context.post(source.rest, source.path))
    except RestFailed as exc:
        raise ConnectFailed(str(exc), exc.retry_after_s) from exc
    except FRAME_ERRORS as exc:  # without its text, which may quote the answer
        raise ConnectFailed(f"{source.path}: an answer that cannot be read ({frame_error_kind(exc)})") from None
    return Address(instead or grant.url, grant.query, grant.ping_s)
