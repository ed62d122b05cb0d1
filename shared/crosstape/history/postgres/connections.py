"""Holds a bounded pool of connections to PostgreSQL. Whatever goes wrong is a `HistoryError`, with the server's reason and no password."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Final, Literal

import asyncpg

from crosstape.errors import HistoryError
from crosstape.history.postgres.address import Address

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record]

IDLE_S: Final = 60.0
"""A connection that nobody used for this time is closed."""
CLOSE_S: Final = 5.0
"""Longest wait for the server when connections are closed."""


class Connections:
    """A pool that connects when a connection is needed, and again after one was lost.

    When all connections are in use the next caller waits, at most `connect_s`. Any task of one event loop may use it.
    """

    def __init__(self, address: Address, *, size: int, connect_s: float, command_s: float) -> None:
        self.address = address
        self._size = size
        self._connect_s = connect_s
        self._command_s = command_s
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    @contextlib.asynccontextmanager
    async def use(self, doing: str) -> AsyncIterator[Connection]:
        """Yields a connection for one caller. `doing`: what for, as in "the history cannot be read": the beginning of each error."""
        with self._errors(doing):
            if self._pool is None:
                # Without cached statements it works behind PgBouncer, too, and a plan never outlives the partition that it is about.
                self._pool = asyncpg.create_pool(
                    self.address.url, min_size=0, max_size=self._size, max_inactive_connection_lifetime=IDLE_S, statement_cache_size=0,
                    timeout=self._connect_s, command_timeout=self._command_s,
                )  # fmt: skip
                await self._pool
            pool = self._pool
            try:
                connection = await pool.acquire(timeout=self._connect_s)
            except TimeoutError as exc:
                reason = f"the server did not answer within {self._connect_s:g} s, or all {self._size} connections are in use"
                raise HistoryError(f"{self.address.shown}: {doing}: {reason}") from exc
            try:
                yield connection
            finally:
                await pool.release(connection)

    @contextlib.asynccontextmanager
    async def transaction(
        self, doing: str, *, isolation: Literal["read_committed", "repeatable_read"] = "read_committed", readonly: bool = False
    ) -> AsyncIterator[Connection]:
        """Yields a connection in a transaction, which the end of the block commits and an error rolls back. `doing`: as in `use`."""
        async with self.use(doing) as connection, connection.transaction(isolation=isolation, readonly=readonly):
            yield connection

    async def aclose(self) -> None:
        """Closes all connections."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                with self._errors("the connections cannot be closed"):
                    await _bounded_close(pool)
            except HistoryError:
                pool.terminate()

    @contextlib.contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except TimeoutError as exc:
            raise HistoryError(f"{self.address.shown}: {doing}: the server did not answer within {self._command_s:g} s") from exc
        except asyncpg.InvalidPasswordError as exc:
            raise HistoryError(f"{self.address.shown}: {doing}: {self.address.hide(str(exc))}") from exc
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as exc:
            reason = self.address.hide(str(exc)) or type(exc).__name__
            raise HistoryError(f"{self.address.shown}: {doing}: {reason}") from exc
        except ValueError:  # an address that asyncpg cannot parse: what it says may quote a part of the password
            raise HistoryError(f"{self.address.shown}: {doing}: the address is malformed") from None


async def _bounded_close(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Close the pool, in a bounded time."""
    async with asyncio.timeout(CLOSE_S):
        await pool.close()
