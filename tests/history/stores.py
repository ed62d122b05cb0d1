"""The stores that the contract of `crosstape.history.store.Store` is tested with. Each has an opener here, by its name.

An opener gives a history of a test's own, and removes it at the end. What it yields opens a store on this history: each call another
one, as another process would, and all of them are closed when the test ends.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import pytest

from crosstape.history.store import Store

StoreFactory = Callable[[], Awaitable[Store]]
"""Opens another store on the history of the test."""
Opener = Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[StoreFactory]]
"""Makes a history for one test. A server that all tests share is a fixture of the session: `request.getfixturevalue(NAME)`."""


@contextlib.asynccontextmanager
async def closing(open_one: StoreFactory) -> AsyncIterator[StoreFactory]:
    """Yields a factory that closes at the end all that it has opened."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened() -> Store:
            store = await open_one()
            stack.push_async_callback(store.aclose)
            return store

        yield opened


@contextlib.asynccontextmanager
async def local(request: pytest.FixtureRequest) -> AsyncIterator[StoreFactory]:
    """A folder on the disk."""
    from crosstape.history.parquet.folder import LocalFolder
    from crosstape.history.parquet.store import ParquetStore

    path = request.getfixturevalue("tmp_path") / "history"

    async def open_one() -> Store:
        return ParquetStore(LocalFolder(path))

    async with closing(open_one) as factory:
        yield factory


@contextlib.asynccontextmanager
async def s3(request: pytest.FixtureRequest) -> AsyncIterator[StoreFactory]:
    """A prefix of its own in the bucket of the run's server."""
    from crosstape.history.parquet.s3 import S3Folder
    from crosstape.history.parquet.store import ParquetStore

    bucket, prefix = request.getfixturevalue("bucket"), uuid.uuid4().hex

    async def open_one() -> Store:
        return ParquetStore(S3Folder(bucket, f"tests/{prefix}", allow_http=True))

    async with closing(open_one) as factory:
        yield factory


@contextlib.asynccontextmanager
async def postgres(request: pytest.FixtureRequest) -> AsyncIterator[StoreFactory]:
    """A schema of its own on the run's PostgreSQL."""
    from crosstape.history.postgres.store import PostgresStore

    url = f"{request.getfixturevalue('postgres')}?schema=test_{uuid.uuid4().hex}"

    async def open_one() -> Store:
        return PostgresStore(url)

    async with closing(open_one) as factory:
        yield factory


OPENERS: Final[dict[str, Opener]] = {
    "local": local,
    "postgres": postgres,
    "s3": s3,
}
"""Name → opener. A new store is added here, and the contract's tests run on it."""
