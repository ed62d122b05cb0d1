"""The history in files: what is on the disk when something is torn, foreign, full or forbidden, and when files are merged meanwhile."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crosstape.bus import Bookmark
from crosstape.errors import HistoryError
from crosstape.history.parquet import planning, reading
from crosstape.history.parquet.catalogue import Catalogue
from crosstape.history.parquet.file import FOOTER
from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.store import ParquetStore
from crosstape.history.query import Query
from crosstape_schemas import Gap, GapCause
from tests.disks import forbidden, full_disk, read_only_disk, unprivileged
from tests.history.batches import DAY, MINUTE, NOON, SECOND, batch, candle, ids, read, trade

TRADES = Query(kind="trade")
BTC = "tape:trade:BTC-USDT"
HOUR_NS = 3_600 * SECOND


class Clock:
    """The clock by which merged files get old: as far ahead of the machine's as a test says."""

    ahead = 0

    def __call__(self) -> int:
        """Now, in ns."""
        return time.time_ns() + self.ahead


@pytest.fixture
def clock() -> Clock:
    """See `Clock`."""
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[ParquetStore]:
    """A store in `tmp_path`."""
    store = ParquetStore(LocalFolder(tmp_path), clock=clock)
    yield store
    await store.aclose()


def names(path: Path) -> list[str]:
    """All files below a folder."""
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


async def fill(store: ParquetStore, commits: int, *, rows: int = 2, step: int = MINUTE) -> None:
    """Write commits of trades, with marks."""
    for number in range(commits):
        events = [trade(rows * number + index, ts=NOON + number * step + index) for index in range(rows)]
        marks = {BTC: Bookmark(f"{1_000 * number + rows - 1}-0", (("kraken", 7, rows * (number + 1)),))}
        assert await store.append(batch(events, first_ms=1_000 * number, first_seq=rows * number + 1), marks, after=number) == number + 1


async def test_commits_become_a_file_of_their_day(store: ParquetStore, tmp_path: Path, clock: Clock) -> None:
    """They stay for an hour beside it, for those who read them."""
    await fill(store, 11)
    commits = [f"trade/commits/{number:09}.parquet" for number in range(1, 12)]
    merged = "trade/2026-11-30/000000001-000000010.parquet"

    assert await store.compact() == 10
    assert names(tmp_path) == sorted([merged, *commits])

    clock.ahead = HOUR_NS - 60 * SECOND
    assert await store.compact() == 0
    assert names(tmp_path) == sorted([merged, *commits])

    clock.ahead = HOUR_NS + 60 * SECOND
    assert await store.compact() == 0
    assert names(tmp_path) == [merged, commits[-1]]
    assert await ids(store, TRADES) == [str(number) for number in range(22)]


async def test_a_year_has_few_files(store: ParquetStore, tmp_path: Path, clock: Clock) -> None:
    """Hours become days."""
    await fill(store, 130, rows=1)
    await store.compact()
    clock.ahead = 2 * HOUR_NS
    await store.compact()

    assert names(tmp_path) == [
        "trade/2026-11-30/000000001-000000060.parquet",
        "trade/2026-11-30/000000061-000000120.parquet",
        "trade/2026-11-30/000000121-000000130.parquet",
    ]
    assert (await store.position("trade")).number == 130
    assert (await store.check()).findings == ()


async def test_merged_files_are_in_the_order_of_files(store: ParquetStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By instrument and time, also where a part does not fit in memory and one instrument has more rows than a part."""
    from crosstape.history.parquet import compaction

    monkeypatch.setattr(compaction, "CHUNK_ROWS", 7)
    expected: list[str] = []
    for number in range(10):
        events = [
            trade(
                10 * number + index,
                ts=NOON + (5 - number) * MINUTE + index,
                instrument=("AAA-USDT", "BTC-USDT", "BTC-USDT", "CCC-USDT")[index],
            )
            for index in range(4)
        ]
        expected += [event.trade_id for event in events]
        await store.append(batch(events, first_ms=1_000 * number), {}, after=number)

    assert await store.compact() == 10

    table = pq.read_table(tmp_path / "trade/2026-11-30/000000001-000000010.parquet", columns=["instrument", "ts", "trade_id"])
    rows = list(zip(*(table.column(name).to_pylist() for name in ("instrument", "ts")), strict=True))
    assert rows == sorted(rows)
    assert sorted(table.column("trade_id").to_pylist()) == sorted(expected)
    assert sorted(await ids(store, TRADES)) == sorted(expected)
    assert [one.what for one in (await store.check()).findings if "order" in one.what] == []


async def test_a_torn_file_stops_neither_merging_nor_expiry_of_others(store: ParquetStore, tmp_path: Path) -> None:
    """It is named when the others are done."""
    await fill(store, 20)
    await store.append(batch([candle(number) for number in range(3)]), {}, after=0)
    for number in range(1, 10):
        await store.append(batch([candle(3 + number)]), {}, after=number)
    (tmp_path / "trade/commits/000000004.parquet").write_bytes(b"torn")

    with pytest.raises(HistoryError, match=r"000000004\.parquet: is torn"):
        await store.compact()

    merged = [name for name in names(tmp_path) if "commits" not in name]
    assert merged == ["candle/2026-11-30/000000001-000000010.parquet", "trade/2026-11-30/000000011-000000020.parquet"]
    with pytest.raises(HistoryError, match=r"000000004\.parquet: is torn"):
        await store.expire(before_ts=NOON + 2 * DAY)
    assert await read(store, Query(kind="candle")) == []


async def test_a_file_of_a_newer_version_stops_nothing(store: ParquetStore, tmp_path: Path) -> None:
    """Its known columns are read. It is not merged here, where the new ones would be lost; others are, and old days are deleted."""
    await fill(store, 60)
    for number in (4, 14, 24, 34):
        path = tmp_path / f"trade/commits/{number:09}.parquet"
        footer = {FOOTER: pq.read_metadata(path).metadata[FOOTER]}
        table = pq.read_table(path)
        table = table.append_column("liquidity", pa.array(["maker"] * len(table)))
        with pq.ParquetWriter(path, table.schema) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata(footer)

    assert await store.compact() == 20
    assert await store.compact() == 0

    assert await ids(store, TRADES) == [str(number) for number in range(120)]
    candles = await store.candles(Query(kind="trade", instrument="BTC-USDT"), "1h")
    assert candles.column("trades").to_pylist() == [120]
    assert await store.last(TRADES) is not None
    result = await store.check()
    assert (result.rows, result.findings) == (120, ())
    assert await store.expire(before_ts=NOON + 2 * DAY) == 120


async def test_reading_goes_on_while_files_are_merged_and_deleted(store: ParquetStore, tmp_path: Path, clock: Clock) -> None:
    """The rest comes from the merged file; nothing is missing and nothing comes twice."""
    await fill(store, 20)
    parts = reading.parts(Catalogue(LocalFolder(tmp_path)), TRADES, 5)
    found = [next(parts), next(parts)]

    await store.compact()
    clock.ahead = 2 * HOUR_NS
    await store.compact()
    assert not [name for name in names(tmp_path) if "commits" in name]

    found += parts
    assert [one for table in found for one in table.column("trade_id").to_pylist()] == [str(number) for number in range(40)]


async def test_a_question_is_asked_again_when_its_files_were_merged(
    store: ParquetStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was about to read files that are deleted since."""
    await fill(store, 10)
    listed = [await store.visible_files(TRADES)]
    await store.compact()
    clock.ahead = 2 * HOUR_NS
    await store.compact()
    now = planning.visible_files
    monkeypatch.setattr(planning, "visible_files", lambda *asked: listed.pop() if listed else now(*asked))

    last = await store.last(TRADES)

    assert last is not None
    assert b'"trade_id":"19"' in last
    assert listed == []


async def test_reading_goes_on_while_days_are_deleted(store: ParquetStore, tmp_path: Path) -> None:
    """What was deleted meanwhile does not come, the rest does."""
    await fill(store, 20, step=DAY // 4)
    await store.compact()
    parts = reading.parts(Catalogue(LocalFolder(tmp_path)), TRADES, 3)
    found = [next(parts)]

    await store.expire(before_ts=NOON + 2 * DAY)

    found += parts
    seen = [int(one) for table in found for one in table.column("trade_id").to_pylist()]
    assert seen == sorted(set(seen))
    assert set(seen) >= set(range(12, 40))


@pytest.mark.parametrize("slice_rows", [1, 3, 1_000])
async def test_parts_are_small_and_in_order(store: ParquetStore, tmp_path: Path, slice_rows: int) -> None:
    """Also where many rows are of one moment, or come in a burst that footers do not show."""
    moments = [0, 0, 0, 1, 2, 2, *range(1_000, 1_100), 10**9, 10**12]
    await store.append(batch([trade(number, ts=NOON + moment) for number, moment in enumerate(moments)]), {}, after=0)

    parts = list(reading.parts(Catalogue(LocalFolder(tmp_path)), TRADES, slice_rows))

    assert [one for table in parts for one in table.column("trade_id").to_pylist()] == [str(number) for number in range(len(moments))]
    assert max(map(len, parts)) <= max(3, reading.DENSE * slice_rows)
    newest = list(reading.parts(Catalogue(LocalFolder(tmp_path)), Query(kind="trade", limit=7), slice_rows))
    assert [one for table in newest for one in table.column("trade_id").to_pylist()] == [str(number) for number in range(101, 108)]


async def test_foreign_files_change_nothing_and_are_named(store: ParquetStore, tmp_path: Path) -> None:
    """Those that people and their tools leave; hidden ones are let be."""
    await fill(store, 3)
    for name in ("trade/README.md", "trade/commits/2.parquet", "trade/commits/000000002.parquet.bak", "notes.txt", "trade/.DS_Store"):
        (tmp_path / name).write_bytes(b"not Parquet")

    assert await ids(store, TRADES) == [str(number) for number in range(6)]
    assert (await store.position("trade")).number == 3

    findings = (await store.check()).findings
    assert sorted(Path(one.where).name for one in findings) == ["000000002.parquet.bak", "2.parquet", "README.md", "notes.txt"]


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign", "flipped"])
async def test_a_torn_file_is_named(store: ParquetStore, tmp_path: Path, damage: str) -> None:
    """By who reads it and by the check, which goes on with the others. Questions that do not need it are answered."""
    await fill(store, 3, rows=50)
    path = tmp_path / "trade/commits/000000002.parquet"
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "foreign":
        path.write_text("PAR1, said the file, and was none")
    else:
        flipped = bytearray(content)
        for index in range(len(content) // 10, len(content) // 5):
            flipped[index] ^= 0x55
        path.write_bytes(flipped)
    other = ParquetStore(LocalFolder(tmp_path))
    try:
        with pytest.raises(HistoryError, match=r"000000002\.parquet"):
            await read(other, TRADES)
        result = await other.check()
        assert (await other.position("trade")).number == 3
    finally:
        await other.aclose()

    named = [one for one in result.findings if one.where.endswith("000000002.parquet")]
    assert named
    assert result.rows >= 100


async def test_a_missing_commit_is_named(store: ParquetStore, tmp_path: Path) -> None:
    """And if it is the newest one of several files, nobody writes after it: its marks are not known."""
    await fill(store, 3)
    (tmp_path / "trade/commits/000000002.parquet").unlink()

    assert [one.what for one in (await store.check()).findings if "commit 2 is missing" in one.what]

    (tmp_path / "trade/2026-11-30").mkdir()
    (tmp_path / "trade/commits/000000003.parquet").rename(tmp_path / "trade/2026-11-30/000000003-000000004.1of2.parquet")
    with pytest.raises(HistoryError, match="commits 2 to 4 are missing"):
        await ParquetStore(LocalFolder(tmp_path)).position("trade")


async def test_what_was_left_by_a_killed_process_is_deleted_later(store: ParquetStore, tmp_path: Path, clock: Clock) -> None:
    """It is no part of the history, and may be of a process that still writes."""
    await fill(store, 1)
    part = tmp_path / "trade/commits/.part-000000002.parquet-0123456789abcdef"
    part.write_bytes(b"half")

    await store.compact()
    assert part.exists()
    assert (await store.check()).findings == ()

    clock.ahead = 2 * HOUR_NS
    assert [one.where for one in (await store.check()).findings] == [str(part)]
    await store.compact()
    assert not part.exists()


async def test_numbers_that_a_lost_file_may_have_are_one_finding(store: ParquetStore, tmp_path: Path) -> None:
    """The file itself is named, and what follows from it is said once: not a line for each feed and venue."""
    for number, seq in enumerate((1, 3, 5)):
        await store.append(
            batch([trade(seq), trade(seq + 1)], first_ms=1_000 * seq, first_seq=seq), {BTC: Bookmark(f"{seq}001-0")}, after=number
        )
    path = tmp_path / "trade/commits/000000002.parquet"
    path.write_bytes(path.read_bytes()[:-8])

    found = (await store.check()).findings

    assert [one.where for one in found] == [str(path), str(tmp_path / "trade")]
    assert "cannot be read" in found[0].what
    assert found[1].what == "numbers are missing that a file that cannot be read may have, or explain: they are not listed"


async def test_missing_numbers_that_a_gap_explains_are_no_finding(store: ParquetStore) -> None:
    """Those of a venue and feed for the time between."""
    events = [trade(1), trade(2), trade(9), trade(10)]
    await store.append(batch(events[:2]), {BTC: Bookmark("1001-0")}, after=0)
    await store.append(batch(events[2:], first_ms=2_000, first_seq=9), {BTC: Bookmark("2001-0")}, after=1)
    assert [one.what for one in (await store.check()).findings] == [
        "numbers 3 to 8 of kraken in trade:BTC-USDT, epoch 7, are missing, and no gap event says so"
    ]

    def gap(venue: str, from_s: int, to_s: int) -> Gap:
        from_ts, to_ts = NOON + from_s * SECOND, NOON + to_s * SECOND
        return Gap(venue, "BTC-USDT", None, NOON + 60 * SECOND, "trade", from_ts, to_ts, 6, GapCause.BUS)

    marks = {"tape:gap:BTC-USDT": Bookmark("9001-0")}
    await store.append(batch([gap("okx", 2, 9), gap("kraken", 20, 30)], first_ms=9_000), marks, after=0)
    assert len((await store.check()).findings) == 1

    await store.append(batch([gap("kraken", 3, 8)], first_ms=9_001, first_seq=1), marks, after=1)
    assert (await store.check()).findings == ()


async def test_a_row_that_is_there_twice_is_found(store: ParquetStore) -> None:
    """And one behind the mark of its stream, which a recorder would record again."""
    await store.append(batch([trade(1), trade(2)]), {BTC: Bookmark("1001-0")}, after=0)
    await store.append(batch([trade(2), trade(3)], first_ms=2_000, first_seq=2), {}, after=1)

    found = [one.what for one in (await store.check()).findings]

    assert [what for what in found if "number 2 of kraken in trade:BTC-USDT" in what and "more than once" in what]
    assert [what for what in found if "2001-0" in what and "recorded again" in what]
    assert len(found) == 2


async def test_a_stale_writer_gets_no_number_that_was_merged_away(store: ParquetStore, tmp_path: Path, clock: Clock) -> None:
    """Its name is free again, and taken all the same."""
    await fill(store, 10)
    await store.compact()
    clock.ahead = 2 * HOUR_NS
    await store.compact()
    assert not (tmp_path / "trade/commits/000000004.parquet").exists()

    assert await store.append(batch([trade(99)]), {}, after=3) is None
    assert "99" not in await ids(store, TRADES)


@pytest.mark.parametrize("disk", [full_disk, read_only_disk])
async def test_a_disk_that_cannot_be_written_says_so(tmp_path: Path, disk: object) -> None:
    """Nothing is left behind, and a later try succeeds."""
    with disk(tmp_path / "disk") as path:  # type: ignore[operator]
        store = ParquetStore(LocalFolder(path / "history"))
        with pytest.raises(HistoryError, match=r"cannot be written: (No space left on device; the disk is full|Read-only file system)"):
            await store.append(batch([trade(1)]), {}, after=0)
        assert not [name for name in names(path) if "parquet" in name]
        if disk is full_disk:
            (path / "filling").unlink()
            assert await store.append(batch([trade(1)]), {}, after=0) == 1
        await store.aclose()


async def test_a_folder_for_temporary_files_that_is_full_says_so(
    store: ParquetStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of many instruments are sorted there; nothing is left behind."""
    await store.append(batch([trade(number) for number in range(3_000)]), {}, after=0)
    with full_disk(tmp_path / "disk") as path:
        (path / "filling").write_bytes(bytes(4096))  # the rest is free: enough for a folder, and not for the rows
        monkeypatch.setattr(tempfile, "tempdir", str(path))
        with pytest.raises(HistoryError, match=r"rows cannot be sorted there: .*No space left on device; set TMPDIR"):
            list(reading.parts(Catalogue(LocalFolder(tmp_path)), TRADES, 200))
        assert [name for name in names(path) if name != "filling"] == []


def test_a_folder_without_permission_says_so(tmp_path: Path) -> None:
    """And which setting to change."""
    code = """
import asyncio
from pathlib import Path
from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.store import ParquetStore
from tests.history.batches import batch, trade
asyncio.run(ParquetStore(LocalFolder(Path(HERE))).append(batch([trade(1)]), {}, after=0))
"""
    code = code.replace("HERE", repr(str(tmp_path / "no" / "history")))
    with forbidden(tmp_path / "no"):
        done = subprocess.run([*unprivileged(), sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "HistoryError" in done.stderr
    assert "cannot be written: Permission denied; give this user the right to it, or set recorder.store" in done.stderr


async def test_a_file_system_without_hard_links_says_so(store: ParquetStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """There, a commit could be written twice."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(HistoryError, match="hard link"):
        await store.append(batch([trade(1)]), {}, after=0)


async def test_an_answer_that_a_file_server_lost_is_found_out(store: ParquetStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network file systems repeat a request whose answer was lost, and say that the name is taken: by this very file."""
    link = os.link

    def lose(source: str, target: str) -> None:
        link(source, target)
        raise FileExistsError(17, "File exists")

    monkeypatch.setattr(os, "link", lose)
    assert await store.append(batch([trade(1)]), {}, after=0) == 1


async def test_a_cancelled_call_leaves_the_store_usable(store: ParquetStore) -> None:
    """The commit was made or not: the position shows it."""
    task = asyncio.create_task(store.append(batch([trade(1)]), {}, after=0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    number = (await store.position("trade")).number
    assert await store.append(batch([trade(2)]), {}, after=number) in {number + 1, None}
    assert (await ids(store, TRADES))[-1:] in (["1"], ["2"])
