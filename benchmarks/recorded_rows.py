"""Measures what a recorded trade costs, step by step: JSON → text event → columns → Arrow table → bytes of a Parquet file, and back.

    python benchmarks/recorded_rows.py --rows 50000 --rounds 5

The trades are those of `recorded_trades`: six instruments, five venues, each with its own digits and ids. CPU time of this process, of the
best of some rounds. Prints JSON lines: µs a row of each step and of all that a recorder does, bytes a row of one commit, and of
`--merged` commits as one file.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from recorded_trades import trades

from crosstape.bus import Entry
from crosstape.bus.read.entry import Run
from crosstape.history import text_events
from crosstape.history.arrow import events_of, table_of
from crosstape.history.columns import BatchBuilder
from crosstape.history.parquet.file import bytes_of, read_table
from crosstape.runtime import lifecycle

NAME: dict[str, object] = {"benchmark": "recorded_rows"}
AT_ONCE = 2_048
"""Entries that a reader gives at once."""

T = TypeVar("T")


def timed(step: Callable[[], T], times: list[float]) -> T:
    """Run one step; append its CPU seconds to `times`."""
    began = time.process_time()
    result = step()
    times.append(time.process_time() - began)
    return result


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000, help="rows of one commit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--merged", type=int, default=10, help="commits of the merged file")
    options = parser.parse_args()
    made = list(trades(options.rows * options.merged))
    rows = made[: options.rows]
    steps: dict[str, list[float]] = {}
    lifecycle.tune_gc()  # as a service does; the trades are no work of a recorder
    for _ in range(options.rounds):
        file = one_round(rows, steps)
    best = {name: round(min(times) / options.rows * 1e6, 3) for name, times in steps.items()}
    written = ("decode", "columns", "table", "file")
    for name, value in best.items():
        print(json.dumps(NAME | {"step": name, "us_a_row": value}))
    print(json.dumps(NAME | {"step": "recorded", "us_a_row": round(sum(best[name] for name in written), 3), "of": written}))
    print(json.dumps(NAME | {"file": "one commit", "rows": options.rows, "bytes_a_row": round(len(file) / options.rows, 2)}))
    kept = round(size(rows, keep_data=True) / len(rows), 2)
    print(json.dumps(NAME | {"file": "all events kept", "rows": options.rows, "bytes_a_row": kept}))
    print(
        json.dumps(NAME | {"file": f"{options.merged} commits merged", "rows": len(made), "bytes_a_row": round(size(made) / len(made), 2)})
    )


def one_round(rows: list[tuple[str, bytes]], steps: dict[str, list[float]]) -> bytes:
    """Do all steps once, in the parts in which a reader brings entries; returns the file."""
    builder = BatchBuilder("trade")
    decoding: list[float] = []
    adding: list[float] = []
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        made = timed(partial(text_events.decode_all, [data for _, data in part]), decoding)
        assert made is not None
        timed(partial(builder.extend_run, Run("s", [entry_id.encode() for entry_id, _ in part], made)), adding)
        del made  # as a reader lets go of it
    batch = timed(builder.build, adding)
    for name, times in (("decode", decoding), ("columns", adding)):
        steps.setdefault(name, []).append(sum(times))
    table = timed(lambda: table_of(batch), steps.setdefault("table", []))
    file = timed(lambda: bytes_of(table, {}), steps.setdefault("file", []))
    read = timed(lambda: read_table(file, "file"), steps.setdefault("read file", []))
    again = timed(lambda: events_of(read), steps.setdefault("read events", []))
    if sorted(again) != sorted(data for _, data in rows):
        raise SystemExit("the file does not have the events")
    return file


def decoded(rows: list[tuple[str, bytes]]) -> list[Any]:
    """Returns the events of these rows."""
    return [text_events.decode(data) for _, data in rows]


def size(rows: list[tuple[str, bytes]], *, keep_data: bool = False) -> int:
    """Returns the bytes of a file of these rows."""
    builder = BatchBuilder("trade")
    builder.extend(Entry("s", entry_id, event, data) for (entry_id, data), event in zip(rows, decoded(rows), strict=True))
    return len(bytes_of(table_of(builder.build(), keep_data), {}))


if __name__ == "__main__":
    main()
