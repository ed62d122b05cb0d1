"""Entries that are read as runs are those that are read one by one, with the same reports of what is missing, repeated or foreign."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from crosstape.bus import Foreign, Missed, Reader, Start, connect
from crosstape.bus.read import poller
from crosstape.bus.read.continuity import Continuity
from crosstape.bus.read.entry import Entry
from crosstape.history.text_events import decode, decode_all
from tests.bus.tape import KEYS, TRADES, fast, stamped, trade

pytestmark = pytest.mark.usefixtures("waits_for")


async def everything(url: str, *, as_runs: bool) -> tuple[list[Entry], list[Missed], list[Foreign], dict[str, str]]:
    """Read the tape from its beginning until nothing comes."""
    entries: list[Entry] = []
    gaps: list[Missed] = []
    foreign: list[Foreign] = []
    options: dict[str, Any] = {"streams": [TRADES], "start": Start.BEGINNING, "on_gap": gaps.append, "on_foreign": foreign.append}
    async with (
        connect(fast(url)) as client,
        Reader(client, KEYS, decode=decode, decode_all=decode_all if as_runs else None, **options) as it,
    ):
        while True:
            if as_runs:
                found = [entry for run in await it.read_runs(timeout_s=0.3) for entry in run.entries()]
            else:
                found = [*await it.read(timeout_s=0.3)]
            if not found and not it.has_more and it.cursors:
                return entries, gaps, foreign, dict(it.cursors)
            entries += found


@pytest.mark.parametrize("at_once", [2, 5, 2048])
async def test_runs_are_the_same_entries(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Of two venues, with a gap, a repeated event, a new epoch, JSON with more in it, and entries that are no events."""
    monkeypatch.setattr(poller, "READ_ENTRIES", at_once)
    monkeypatch.setattr(poller, "ENTRIES_EACH", 1)
    numbered = [(5, 1), (5, 2), (5, 3), (5, 6), (5, 7), (5, 7), (5, 8), (9, 1), (9, 2), (9, 3), (9, 4), (9, 5), (9, 6), (9, 7)]
    for epoch, seq in numbered:
        for venue in ("binance", "okx"):
            await client.xadd(TRADES, {"d": stamped(trade(seq, venue=venue), epoch, seq)})
        if (epoch, seq) == (9, 2):
            await client.xadd(TRADES, {"d": b"no event"})
            await client.xadd(TRADES, {"d": b"{}", "e": b"two fields"})
        if (epoch, seq) == (9, 4):
            data = stamped(trade(seq, venue="kraken"), epoch, 1)
            await client.xadd(TRADES, {"d": data if isinstance(data, bytes) else data.encode()})
            more = stamped(trade(seq, venue="kraken"), epoch, 2)
            await client.xadd(TRADES, {"d": (more if isinstance(more, bytes) else more.encode())[:-1] + b',"more":1}'})

    one_by_one, as_runs = await everything(valkey, as_runs=False), await everything(valkey, as_runs=True)

    assert as_runs == one_by_one
    assert len(as_runs[0]) == 2 * (len(numbered) - 1) + 2
    assert len(as_runs[1]) == 2
    assert len(as_runs[2]) == 2


numbers = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([1, 2]), st.integers(0, 5)), min_size=1, max_size=8)


@given(known=numbers, following=numbers)
def test_a_numbering_is_checked_at_once_as_one_by_one(known: list[tuple[str, int, int]], following: list[tuple[str, int, int]]) -> None:
    """What passes together passes one by one, and leaves the same numbers; what does not changes nothing."""
    together, single = (Continuity("s", from_first=True) for _ in range(2))
    for one in (together, single):
        for number in known:
            one.know_number(*number)
    events = [decode(stamped(trade(seq, venue=venue), epoch, seq)) for venue, epoch, seq in following]
    before = copy.deepcopy(together._next)

    touched = together.check_all(*zip(*following, strict=True))

    if touched:
        assert touched == {(venue, epoch) for venue, epoch, _ in following}
        assert all(single.check(event) is True for event in events)  # type: ignore[arg-type]
        assert together._next == single._next
    else:
        assert together._next == before
        expected = {(venue, epoch): seq for venue, epochs in before.items() for epoch, seq in epochs.items()}
        for venue, epoch, seq in following:
            if expected.get((venue, epoch)) != seq:
                break
            expected[venue, epoch] = seq + 1
        else:
            raise AssertionError("each was the next one")
