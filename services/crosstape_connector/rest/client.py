"""REST, as far as a connector needs it: GETs within the venue's budget, and what went wrong said in one way. No venue's facts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from crosstape_connector.capture.writer import Capture
from crosstape_connector.errors import RestFailed
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.rate_limit import RateLimit, retry_after
from crosstape_connector.rest.odd_rows import OddRows
from crosstape_connector.venues.parsing.refusals import line, public, refusal
from crosstape_connector.venues.spec import MEBIBYTE, Venue

MAX_BODY: Final = 64 * MEBIBYTE
"""The largest answer known, Binance's instruments, is 15 MiB."""

BUSY: Final = frozenset({418, 429, 503})
"""Answers that ask us to hold back: Binance bans with 418 who goes on after a 429."""

BACK_OFF_S: Final = 5.0
"""How long to hold back where the venue does not say."""


class RestClient:
    """One venue's REST: every call waits its turn in the budget, and for as long as the venue asked of any call before.

    Without `capture` answers go nowhere but to the caller.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        venue: Venue,
        urls: Mapping[str, str],
        *,
        timeout_s: float,
        capture: Capture | None,
        counters: Counters,
    ) -> None:
        self._http = http
        self._venue = venue
        self._urls = urls
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._capture = capture
        self._counters = counters
        self._not_before = 0.0
        self.odd_rows = OddRows(venue.id, counters)
        """Takes what was left out of answers."""

    async def get(
        self, rest: str, path: str, *, rate_limit: RateLimit | None = None, instruments: bool = False, captured: bool = True
    ) -> tuple[bytes, int]:
        """The body of `path` at the base `rest` of the venue, and when it had been read (ns). `captured`: a capture has it, too.

        Waits for the budget without limit (the queue of those who ask is bounded), for the venue `timeout_s`. Raises `RestFailed`.
        """
        url = self._url(rest, path)
        shown = self._shown(rest, path)
        if rate_limit is not None and (pause := rate_limit.reserve(time.monotonic())) > 0:
            await asyncio.sleep(pause)
        while (pause := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(pause)
        status = 0
        try:
            async with self._http.get(url, timeout=self._timeout) as response:
                status = response.status
                body = await self._read(response)
                wait_s = retry_after(response.headers, time.time())
        except (aiohttp.ClientError, OSError) as exc:  # a TimeoutError is an OSError
            self._counters.rest_calls["failed"] += 1
            raise RestFailed(f"{shown}: {line(str(exc).replace(url, shown)) or type(exc).__name__}") from exc
        received_ts = time.time_ns()
        self._counters.rest_calls[str(status)] += 1
        error = self._refusal(status, body)
        if self._capture is not None and captured:
            self._capture.answered(received_ts, url, body, instruments=instruments, refused=error is not None)
        if status in BUSY:
            wait_s = BACK_OFF_S if wait_s is None else wait_s
            self._not_before = max(self._not_before, time.monotonic() + wait_s)
        if error is not None:
            raise RestFailed(f"{shown}: {error}", wait_s)
        return body, received_ts

    def record_cached(self, rest: str, path: str, body: bytes) -> None:
        """An answer of `path` from an earlier time is used as the instruments: a capture cannot be read without."""
        if self._capture is not None:
            self._capture.answered(time.time_ns(), self._url(rest, path), body, instruments=True)

    def _url(self, rest: str, path: str) -> str:
        return self._urls[rest].rstrip("/") + path

    def _shown(self, rest: str, path: str) -> str:
        """The same for errors: of the base nothing that could be a secret, of a venue's own path there is none."""
        base = urlsplit(public(self._urls[rest]))
        return f"{base.scheme}://{base.netloc}{path}"

    def _refusal(self, status: int, body: bytes) -> str | None:
        """What the venue says instead of an answer, if it does."""
        known = None if self._venue.rest_error is None else self._venue.rest_error(body)
        if status != 200:
            return refusal(status, body, known)
        return None if known is None else line(known) or "refused without a reason"

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > MAX_BODY:
                response.close()
                raise RestFailed(f"{public(str(response.url))}: more than {MAX_BODY // MEBIBYTE} MiB")
            chunks.append(chunk)
        return b"".join(chunks)
