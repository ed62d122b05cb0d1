"""What tests of the history share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.history.stores import OPENERS, StoreFactory


@pytest.fixture(params=OPENERS)
async def store_factory(request: pytest.FixtureRequest) -> AsyncIterator[StoreFactory]:
    """Opens stores on one history that is new, once with each kind of store: see `stores`."""
    async with OPENERS[request.param](request) as factory:
        yield factory
