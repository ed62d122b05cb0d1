"""Verifies a history in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crosstape.history.postgres.connections import Connections
from crosstape.history.postgres.tables import Tables
from crosstape.history.store import CheckResult

if TYPE_CHECKING:
    from crosstape.history.postgres.store import PostgresStore


async def check(store: PostgresStore, connections: Connections, tables: Tables) -> CheckResult:
    """See `Store.check`."""
    raise NotImplementedError
