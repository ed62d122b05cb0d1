"""Writes events to a tape from blocking code, as a publisher does, for tests that have no event loop of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from redis import Redis

from crosstape_schemas import VENUE_WIDE, Event, Keys, Status, feed_kind, stamp

KEYS = Keys()
EPOCH = 5


class Writer:
    """A client of the server; each event gets the next number of its stream and venue."""

    def __init__(self, url: str) -> None:
        self.redis = Redis.from_url(url)
        self._numbers: Counter[tuple[str, str]] = Counter()

    def write(self, *events: Event) -> None:
        """Stream, last value, registry."""
        for event in events:
            wide = isinstance(event, Status) and event.instrument == VENUE_WIDE
            kind = feed_kind(event)
            name = KEYS.venue(event.venue) if wide else KEYS.stream(kind, event.instrument)
            self._numbers[name, event.venue] += 1
            data = stamp(event, EPOCH, self._numbers[name, event.venue])
            pipe = self.redis.pipeline()
            pipe.xadd(name, {"d": data})
            pipe.hset(KEYS.last(kind, event.instrument), event.venue, data)
            pipe.sadd(KEYS.registry(), name)
            pipe.execute()

    def write_all(self, events: Iterable[Event]) -> None:
        """Only the streams, many at once."""
        pipe = self.redis.pipeline(transaction=False)
        for event in events:
            name = KEYS.stream(feed_kind(event), event.instrument)
            self._numbers[name, event.venue] += 1
            pipe.xadd(name, {"d": stamp(event, EPOCH, self._numbers[name, event.venue])})
        pipe.execute()


def end_of(writer: Writer, stream: str) -> str:
    """The id of the stream's last entry."""
    entries = writer.redis.xrevrange(stream, count=1)
    assert entries
    (entry_id, _) = entries[0]
    assert isinstance(entry_id, bytes)
    return entry_id.decode()


def numbers(events: Iterable[Any]) -> list[int]:
    """The numbers by which `trade` and `quote` were made."""
    return [event.received_ts - 1_000 for event in events]


def wait_for(predicate: Callable[[], object], *, what: str, timeout_s: float = 20.0) -> None:
    """`wait_until` for blocking code."""
    deadline = time.monotonic() + timeout_s
    while not predicate():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        threading.Event().wait(0.005)


def threads(name: str) -> list[threading.Thread]:
    """The threads that run and have a name that begins like this."""
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]


def run_program(code: str, url: str, *, interrupt_at: str = "") -> tuple[int, str]:
    """A program of its own: its exit code and what it wrote. It gets SIGINT when it has written this."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), url]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if interrupt_at and line.strip() == interrupt_at:
                process.send_signal(signal.SIGINT)
        return process.wait(30), "".join(lines)
