"""A client of the simulator's control endpoint."""

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
        """Start a fault. Returns its number."""
        async with self._http.post("/faults", data=text) as answer:
            told: dict[str, Any] = await answer.json()
            assert answer.status == 201, told
            return int(told["id"])

    async def end(self, number: int) -> None:
        """Now, if it is not over."""
        async with self._http.delete(f"/faults/{number}"):
            pass

    async def acts(self, number: int, timeout_s: float) -> None:
        """Wait until it has done something."""

        async def has() -> bool:
            async with self._http.get("/faults") as answer:
                return any(one["id"] == number and one["acted"] for one in await answer.json())

        await wait_until(has, what=f"fault {number} acts", timeout_s=timeout_s)
