"""Up to when a history is complete while a recorder commits one kind after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from crosstape.bus import Bookmark
from crosstape.history.columns import BatchBuilder
from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.store import ParquetStore
from crosstape_recorder.audit.committed import MARGIN_NS, QUIET_NS, SLACK_NS, complete_until
from crosstape_recorder.audit.reading import AUDITED, Span, audit, needed
from crosstape_recorder.audit.rules import MS, SECOND, Rules
from crosstape_schemas import Trade
from tests.recorder.audit.market import NAME, SETTINGS, START, tape
from tests.recorder.audit.test_reading import record

KINDS: Final = needed(NAME, AUDITED)
NOW_MS: Final = START // MS


async def mark(store: ParquetStore, marks: Mapping[str, int]) -> None:
    """Commit a mark of one stream of each kind: kind → id in ms."""
    for kind, ms in marks.items():
        number = (await store.position(kind)).number
        await store.append(BatchBuilder(kind).build(), {f"{kind}:{NAME}": Bookmark(f"{ms}-3")}, after=number)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ParquetStore]:
    """An empty store."""
    made = ParquetStore(LocalFolder(tmp_path / "history"), keep="events")
    yield made
    await made.aclose()


async def until(store: ParquetStore, commit_s: float = 60.0, recorded: frozenset[str] = frozenset(KINDS)) -> int | None:
    """Ask for all kinds."""
    return await complete_until(store, KINDS, commit_s, recorded)


async def test_trades_that_are_committed_last_make_no_difference(store: ParquetStore) -> None:
    """What was published from the trades that are not in the store yet is not audited; without the cut it would differ."""
    rows = tape(11, 900)
    end_ms = rows[-1].ms
    cut_ms = end_ms - 8_000
    await record(store, [row for row in rows if not isinstance(row.event, Trade) or row.ms <= cut_ms])
    await mark(store, dict.fromkeys(KINDS, end_ms) | {"trade": cut_ms})

    found_ts = await until(store)

    assert found_ts == cut_ms * MS - MARGIN_NS
    cut = await audit(store, Span(START - SECOND, found_ts), Rules.of(SETTINGS))
    whole = await audit(store, Span(START - SECOND, end_ms * MS), Rules.of(SETTINGS))
    assert cut.differences == []
    assert cut.exact["window"] > 0
    assert whole.differences


@pytest.mark.parametrize("kind", ["edge", "gap"])
@pytest.mark.parametrize("old_s", [1_000, 100_000])
async def test_a_kind_that_has_nothing_for_hours_ends_no_audit(store: ParquetStore, kind: str, old_s: int) -> None:
    """It is complete up to what a recorder that works must have committed."""
    await mark(store, dict.fromkeys(KINDS, NOW_MS) | {kind: NOW_MS - old_s * 1_000})

    assert await until(store) == START - 120 * SECOND - SLACK_NS - MARGIN_NS


async def test_a_kind_that_is_no_longer_written_ends_no_audit(store: ParquetStore) -> None:
    """As books that nobody subscribes any more."""
    await mark(store, dict.fromkeys(KINDS, NOW_MS) | {"book": NOW_MS - 2 * QUIET_NS // MS})

    assert await until(store) == START - 120 * SECOND - SLACK_NS - MARGIN_NS


async def test_a_kind_that_is_recorded_but_was_never_committed_is_waited_for(store: ParquetStore) -> None:
    """One that is not in recorder.kinds is not."""
    await mark(store, dict.fromkeys(KINDS - {"trade"}, NOW_MS))

    assert await until(store, 1.0) == START - 2 * SECOND - SLACK_NS - MARGIN_NS
    assert await until(store, 1.0, frozenset(KINDS - {"trade"})) == START - MARGIN_NS


async def test_a_history_without_marks_has_no_end(store: ParquetStore) -> None:
    """Nothing of it came from a tape."""
    assert await until(store) is None
