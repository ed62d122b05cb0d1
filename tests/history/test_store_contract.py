"""What every store of the history promises: these tests run on each of `stores.OPENERS`."""

from __future__ import annotations

from crosstape.history.store import Position
from tests.history.stores import StoreFactory


async def test_a_new_history_has_no_commit(store_factory: StoreFactory) -> None:
    """The recorder begins where there is nothing yet."""
    store = await store_factory()

    assert await store.position("trade") == Position(0, {})
