"""`crosstape audit`: what it prints, and its exit codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.store import ParquetStore
from crosstape.runtime.lifecycle import Exit
from crosstape_schemas import Cbbo, Trade
from tests.cli.running import Done, crosstape
from tests.recorder.audit.market import NAME, START, Row, tape
from tests.recorder.audit.test_committed import KINDS, mark
from tests.recorder.audit.test_reading import record

SETTINGS = """\
[recorder]
store = "{store}"
[aggregator]
windows = ["5s", "1m", "1d"]
bars = ["1s", "1m"]
bar_history_s = 120.0
outlier_bps = "30"
depth_levels = 4
sweep_sizes = {{ "*" = ["0.5", "3"] }}
taker_fees_bps = {{ binance = "0.1", bitfinex = "0.1", coinbase = "0.1", kraken = "0.1" }}
"""


async def run(directory: Path, rows: Sequence[Row], *options: str, marks: Mapping[str, int] | None = None) -> Done:
    """Record rows, and audit them. `marks`: kind → the id (ms) up to which it is committed."""
    store = ParquetStore(LocalFolder(directory / "history"), keep="events")
    await record(store, rows)
    await mark(store, marks or {})
    await store.aclose()
    file = directory / "settings.toml"
    file.write_text(SETTINGS.format(store=directory / "history"))
    return await crosstape("audit", *options, "--settings", str(file))


@pytest.mark.slow
async def test_an_audit_without_differences_exits_with_0(tmp_path: Path) -> None:
    """It says how many values of each kind were compared."""
    done = await run(tmp_path, tape(3, 300), "--from", str(START - 1), "--to", str(START + 10**12))

    assert (done.code, done.err) == (Exit.OK, "")
    assert b"0 differences" in done.out
    assert b"cbbo" in done.out


@pytest.mark.slow
async def test_a_difference_is_printed_with_its_inputs(tmp_path: Path) -> None:
    """It exits with 1."""
    rows = list(tape(3, 300))
    index, quote = next((index, row.event) for index, row in enumerate(rows) if isinstance(row.event, Cbbo) and row.event.venues > 2)
    rows[index] = rows[index]._replace(event=msgspec.structs.replace(quote, venues=9))

    done = await run(tmp_path, rows, "btc/usdt", "--from", str(START - 1), "--to", str(START + 10**12), "--kind", "cbbo")

    text = done.out.decode()
    assert done.code == Exit.FAILED
    assert f"cbbo {NAME} consolidated epoch {quote.epoch} seq {quote.seq} id {rows[index].ms}-" in text
    assert "venues\n    published  9\n" in text
    assert '{"type":"quote"' in text
    assert "window" not in text


async def test_an_audit_of_nothing_is_not_proven(tmp_path: Path) -> None:
    """It exits with 5, and with 2 without a time."""
    nothing = await run(tmp_path, [], "--from", "-1h")
    no_time = await run(tmp_path, [])

    assert (nothing.code, no_time.code) == (Exit.UNPROVEN, Exit.USAGE)
    assert "--from" in no_time.err


@pytest.mark.slow
async def test_an_audit_ends_where_the_recorder_has_committed_all_kinds(tmp_path: Path) -> None:
    """It says so, also if that is before --from."""
    rows = tape(3, 900)
    cut_ms = rows[-1].ms - 8_000
    recorded = [row for row in rows if not isinstance(row.event, Trade) or row.ms <= cut_ms]
    marks = dict.fromkeys(KINDS, rows[-1].ms) | {"trade": cut_ms}

    done = await run(tmp_path, recorded, "--from", str(START - 1), "--to", str(START + 10**12), marks=marks)
    late = await run(tmp_path, [], "--from", str(cut_ms * 1_000_000), "--to", str(START + 10**12))

    assert (done.code, done.err) == (Exit.OK, "")
    assert b"\naudited up to 2026-" in done.out
    assert late.code == Exit.UNPROVEN
    assert b"before --from" in late.out
