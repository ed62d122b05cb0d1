"""Writes a stream's trades to a file, each once: CSV, or with `--jsonl` the events as they are, one a line.

    python examples/to_csv.py redis://127.0.0.1:6379 BTC-USDT trades.csv            until it has read all there is
    python examples/to_csv.py redis://127.0.0.1:6379 BTC-USDT trades.csv --follow   until Ctrl-C

Run again with the same file, it continues behind the last line. Numbers are written with the digits of the tape, no float in between. What
the server trimmed before it was read is missing in the file, and is reported on standard error.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

COLUMNS = ("id", "venue", "instrument", "venue_ts", "received_ts", "price", "size", "taker", "trade_id", "backfilled", "epoch", "seq")


def entries(server: Any, stream: str, after: str, *, follow: bool) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """(id, event) of each entry after this id once, in groups; waits for the server and, with `follow`, for more entries."""
    resumed = after != "0-0"
    while True:
        try:
            if resumed and not server.xrange(stream, after, after):
                print("the entry at which the file ends was trimmed: trades behind it may be missing", file=sys.stderr, flush=True)
            resumed = False
            answer = server.xread({stream: after}, count=1000, block=1000 if follow else None)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            print(f"waiting for the server: {error}", file=sys.stderr, flush=True)
            time.sleep(1)
            continue
        for _, group in answer:
            yield [(entry_id, json.loads(fields["d"])) for entry_id, fields in group]  # Python's integers are exact, prices are strings
            after = group[-1][0]
        if not answer and not follow:
            return


class Numbering:
    """Reports trades that this reader did not get: each venue's events on a stream are numbered without a gap."""

    def __init__(self) -> None:
        self.expected: dict[tuple[str, int], int] = {}

    def check(self, event: dict[str, Any]) -> None:
        """Compare with the event before it of the same venue and epoch."""
        key = (event["venue"], event["epoch"])
        missing = event["seq"] - self.expected.get(key, event["seq"])
        if missing > 0:
            print(f"missed {missing} trades of {event['venue']}: trimmed before they were read", file=sys.stderr, flush=True)
        self.expected[key] = event["seq"] + 1


def row(entry_id: str, event: dict[str, Any], *, jsonl: bool) -> str:
    """A line of the file, with the id of its entry."""
    if jsonl:
        return json.dumps({"id": entry_id, **event}, separators=(",", ":")) + "\n"
    line = io.StringIO()
    csv.DictWriter(line, COLUMNS, extrasaction="ignore", lineterminator="\n").writerow({"id": entry_id, **event})
    return line.getvalue()


def last_id(file: io.BufferedRandom, *, jsonl: bool) -> str:
    """The id in the file's last complete line. A line that was cut off is removed: it is written again."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 65536))
    complete, newline, cut = file.read().rpartition(b"\n")
    file.truncate(end - len(cut))
    file.seek(0, os.SEEK_END)
    line = complete.rpartition(b"\n")[2].decode()
    if not newline or line.startswith("id,"):
        return "0-0"
    return str(json.loads(line)["id"]) if jsonl else line.partition(",")[0]


def main(server: Any, instrument: str, path: Path, *, jsonl: bool, follow: bool) -> None:
    """Append what the file does not have yet."""
    path.touch()
    with path.open("r+b") as file:
        after = last_id(file, jsonl=jsonl)
        if file.tell() == 0 and not jsonl:
            file.write((",".join(COLUMNS) + "\n").encode())
        numbering = Numbering()
        for group in entries(server, f"tape:trade:{instrument}", after, follow=follow):
            for entry_id, event in group:
                numbering.check(event)
                file.write(row(entry_id, event, jsonl=jsonl).encode())
            file.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes a stream's trades to a file, each once.")
    parser.add_argument("url", help="of the server, such as redis://127.0.0.1:6379")
    parser.add_argument("instrument", help="such as BTC-USDT")
    parser.add_argument("file", type=Path)
    parser.add_argument("--jsonl", action="store_true", help="JSON lines instead of CSV")
    parser.add_argument("--follow", action="store_true", help="do not end when all has been read")
    options = parser.parse_args()
    try:
        client = redis.Redis.from_url(options.url, decode_responses=True)
        with contextlib.suppress(KeyboardInterrupt):
            main(client, options.instrument, options.file, jsonl=options.jsonl, follow=options.follow)
    except (ValueError, OSError) as error:
        parser.error(str(error))
