"""The simulator's control endpoint, as a client of it."""

from __future__ import annotations

from typing import Any

import aiohttp

from tests.waiting import wait_until


class Rehearsal:
    """Sets and ends faults."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        """`http`: of the control endpoint."""
        self._http = http

    async def set(self, text: str) -> int:
        """Its number."""
        async with self._http.post("/faults", data=text) as answer:
            told: dict[str, Any] = await answer.json()
            assert answer.status == 201, told
            return int(told["id"])

    async def end(self, number: int) -> None:
        """Now, if it is not over."""
        async with self._http.delete(f"/faults/{number}"):
            pass

    async def over(self, number: int, timeout_s: float = 30.0) -> None:
        """Wait until it is over by itself."""

        async def so() -> bool:
            return (await self._one(number))["state"] == "ended"

        await wait_until(so, what=f"fault {number} is over", timeout_s=timeout_s)

    async def acted(self, number: int) -> int:
        """How often it has."""
        return int((await self._one(number))["acted"])

    async def _one(self, number: int) -> dict[str, Any]:
        async with self._http.get("/faults") as answer:
            return next(one for one in await answer.json() if one["id"] == number)
