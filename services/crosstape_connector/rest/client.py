"""Makes requests within a venue's limits, and turns everything that can go wrong into `RestFailed`. No venue's facts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import urlsplit

import aiohttp

from crosstape.bus.request_budget import RequestLimit
from crosstape_connector.capture.writer import Capture
from crosstape_connector.errors import RestFailed
from crosstape_connector.http import Http
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.rate_limit import RateLimit, retry_after
from crosstape_connector.rest.odd_rows import OddRows
from crosstape_connector.venues.parsing.refusals import line, public, refusal
from crosstape_connector.venues.spec import MEBIBYTE, Venue

MAX_BODY: Final = 64 * MEBIBYTE
"""Bytes. The largest answer known, Binance's instruments, has 15 MiB."""

BUSY: Final = frozenset({418, 429, 503})
"""HTTP statuses that ask us to wait. Binance bans an address (418) that goes on after a 429."""

BACK_OFF_S: Final = 5.0
"""How long to wait where the venue does not say."""


class Spender(Protocol):
    """Knows what other processes of our address request of the venue. Its methods end soon and raise nothing."""

    async def spend(self, limit: RequestLimit, weight: int) -> float:
        """Count a request that is about to be made. Returns for how many seconds the venue is to be left alone."""
        ...

    async def hold(self, limit: RequestLimit, seconds: float) -> None:
        """Let the others wait as we do: the venue has asked for it."""
        ...


class RestClient:
    """Makes the requests of one venue. Each waits for its rate limit, and for as long as the venue asked after any request before.

    With a `capture`, answers are recorded, too.
    """

    def __init__(
        self,
        http: Http,
        venue: Venue,
        urls: Mapping[str, str],
        *,
        timeout_s: float,
        capture: Capture | None,
        counters: Counters,
        spender: Spender | None = None,
    ) -> None:
        """`spender`: shares the venue's limits with other processes; None: there are no others."""
        self._http = http
        self._venue = venue
        self._urls = urls
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._capture = capture
        self._counters = counters
        self._spender = spender
        self._not_before = 0.0
        self.odd_rows = OddRows(venue.id, counters)
        """Counts and logs the rows of answers that were left out."""

    async def get(
        self,
        rest: str,
        path: str,
        *,
        rate_limit: RateLimit | None = None,
        weight: int = 1,
        instruments: bool = False,
        captured: bool = True,
    ) -> tuple[bytes, int]:
        """Return the body of `path`, and when it had been read (ns since the epoch). Raises `RestFailed`.

        `rest`: which of the venue's base URLs. `weight`: what the request counts in `rate_limit`. `instruments`: the answer is the list
        that a capture begins with. `captured`: whether a capture records the answer. Waits for the rate limit as long as it takes (callers
        are few), for the venue `timeout_s`.
        """
        if rate_limit is not None and (pause := rate_limit.reserve(time.monotonic(), weight)) > 0:
            await asyncio.sleep(pause)
        return await self._request("GET", rest, path, instruments=instruments, captured=captured)

    async def post(self, rest: str, path: str) -> bytes:
        """Return the body of the answer to a POST without a body; a capture does not record it. Raises `RestFailed`.

        Waits for as long as the venue asked after any request before.
        """
        body, _ = await self._request("POST", rest, path, instruments=False, captured=False)
        return body

    async def _request(self, method: str, rest: str, path: str, *, instruments: bool, captured: bool) -> tuple[bytes, int]:
        url = self._url(rest, path)
        shown = self._shown(rest, path)
        target, data, headers = url, None, dict(self._venue.headers)
        if method == "GET" and self._venue.posted is not None:
            place, data = self._venue.posted(path)
            method, target, headers["Content-Type"] = "POST", self._url(rest, place), "application/json"
        await self._wait_for_turn(path)
        status = 0
        try:
            async with self._http.request(method, target, data=data, headers=headers, timeout=self._timeout) as response:
                status = response.status
                body = await self._read(response)
                wait_s = retry_after(response.headers, time.time())
        except (aiohttp.ClientError, OSError) as exc:  # a TimeoutError is an OSError
            self._counters.rest_calls["failed"] += 1
            raise RestFailed(f"{shown}: {line(str(exc).replace(target, shown)) or type(exc).__name__}") from exc
        received_ts = time.time_ns()
        self._counters.rest_calls[str(status)] += 1
        error = self._refusal(status, body)
        if self._capture is not None and captured:
            self._capture.answered(received_ts, url, body, instruments=instruments, refused=error is not None)
        asked_s = BACK_OFF_S if status in BUSY else None
        if self._venue.asked_to_wait is not None:
            asked_s = self._venue.asked_to_wait(status, body) or asked_s
        if asked_s is not None:
            wait_s = asked_s if wait_s is None else wait_s
            self._not_before = max(self._not_before, time.monotonic() + wait_s)
            if self._spender is not None and (limit := self._venue.rest_limit(path)) is not None:
                await self._spender.hold(limit, wait_s)
        if error is not None:
            raise RestFailed(f"{shown}: {error}", wait_s, status)
        return body, received_ts

    async def _wait_for_turn(self, path: str) -> None:
        """Wait for as long as the venue has asked us, or another process of our address, to wait."""
        await self._wait()
        if self._spender is not None and (limit := self._venue.rest_limit(path)) is not None:
            held_s = await self._spender.spend(limit, limit.weight(path))
            self._not_before = max(self._not_before, time.monotonic() + held_s)
            await self._wait()

    async def _wait(self) -> None:
        while (pause := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(pause)

    def record_cached(self, rest: str, path: str, body: bytes) -> None:
        """Record an old answer of `path` that is used as the list of instruments: a capture cannot be read without one."""
        if self._capture is not None:
            self._capture.answered(time.time_ns(), self._url(rest, path), body, instruments=True)

    def _url(self, rest: str, path: str) -> str:
        return self._urls[rest].rstrip("/") + path

    def _shown(self, rest: str, path: str) -> str:
        """Return the URL as errors show it, without what may be secret in the base; the path is a venue's own and has nothing secret."""
        base = urlsplit(public(self._urls[rest]))
        return f"{base.scheme}://{base.netloc}{path}"

    def _refusal(self, status: int, body: bytes) -> str | None:
        """Return the venue's error text; None: the body is an answer."""
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
