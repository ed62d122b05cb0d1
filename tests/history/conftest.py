"""What tests of the history share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.history.s3_server import BUCKET, s3_server
from tests.history.stores import OPENERS, StoreFactory


@pytest.fixture(params=OPENERS)
async def store_factory(request: pytest.FixtureRequest) -> AsyncIterator[StoreFactory]:
    """Opens stores on one history that is new, once with each kind of store: see `stores`."""
    async with OPENERS[request.param](request) as factory:
        yield factory


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """The address of a server that speaks S3; the environment's variables lead to it while it runs."""
    with s3_server() as address:
        yield address


@pytest.fixture(scope="session")
def bucket(s3_address: str) -> str:
    """The name of a bucket there."""
    return BUCKET
