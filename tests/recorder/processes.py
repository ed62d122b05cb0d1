"""The recorder as a process, and what its store has then."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.store import ParquetStore
from crosstape.history.query import Query
from crosstape.history.store import Position


def variables_of(url: str, history: Path, **changes: str) -> dict[str, str]:
    """The environment of a recorder that waits little. `changes` are of the section `recorder`."""
    own = {"store": str(history), "commit_s": "0.2", **changes}
    return {
        "CROSSTAPE_BUS__URL": url,
        "CROSSTAPE_BUS__BACKOFF_S": "0.2",
        "CROSSTAPE_RUN__DIR": str(history.parent / "run"),
        "CROSSTAPE_TELEMETRY__LOG_FORMAT": "json",
        **{f"CROSSTAPE_RECORDER__{name.upper()}": value for name, value in own.items()},
    }


async def ready(url: str) -> dict[str, Any]:
    """The answer of `/readyz`; empty where nobody listens."""

    def ask() -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
                return dict(json.loads(answer.read()))
        except urllib.error.HTTPError as exc:
            with exc:
                return dict(json.loads(exc.read()))
        except OSError:
            return {}

    return await asyncio.to_thread(ask)


class Kept(NamedTuple):
    """What a store has of the trades of a test."""

    seqs: list[int]
    """In the order in which the store reads them."""
    total: int
    """The sum of their sizes."""


async def kept(history: Path) -> Kept:
    """Read all trades."""
    seqs: list[int] = []
    total = 0
    store = ParquetStore(LocalFolder(history))
    async for table in store.read(Query(kind="trade")):
        seqs += table["seq"].to_pylist()
        total += sum(int(size) for size in table["size"].to_pylist())
    await store.aclose()
    return Kept(seqs, total)


class Watched:
    """Looks how far a store's history goes."""

    def __init__(self, history: Path) -> None:
        self.store = ParquetStore(LocalFolder(history))

    async def position(self) -> Position:
        """Of the trades."""
        return await self.store.position("trade")

    async def number(self) -> int:
        """Of the newest commit of trades."""
        return (await self.position()).number

    async def newest(self) -> int:
        """The greatest `seq` of a trade."""
        return max((seq for mark in (await self.position()).marks.values() for _, _, seq in mark.numbers), default=0)
