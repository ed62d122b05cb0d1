"""Measures the time from the reading of a frame to the consolidated quote on its channel, by a subscriber that does nothing else.

    python -m tests.chaos.listener SOCKET

Prints one JSON line a second: `{"ts": ns, "late": {"3": 410, …}}`: 410 quotes came 3 `UNIT_NS` after their `received_ts`, the moment when
the newest frame in them was read from the venue's socket. A quote without a newer frame than the quote before it (a window moved on, a leg
has settled) is not counted. This is a process of its own, so that the checker of the tape does not disturb the measurement.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections import Counter
from typing import Final

import hiredis
import msgspec

UNIT_NS: Final = 100_000
MAX: Final = 100_000
"""Units beyond which all counts as that."""


class Read(msgspec.Struct):
    """The fields of a quote that are needed here."""

    received_ts: int


def main(path: str) -> None:
    """Measure until the server, or the process that reads our output, has gone."""
    decode = msgspec.json.Decoder(Read).decode
    reader = hiredis.Reader()
    late: Counter[int] = Counter()
    newest: dict[bytes, int] = {}
    told = time.monotonic()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as subscriber:
        subscriber.connect(path)
        subscriber.settimeout(1.0)
        subscriber.sendall(b"PSUBSCRIBE tape:cbbo:*\r\n")
        while True:
            try:
                data = subscriber.recv(1 << 20)
            except TimeoutError:
                data = None
            now = time.time_ns()
            if data == b"":
                return
            reader.feed(data or b"")
            while (message := reader.gets()) is not False:
                if message[0] == b"pmessage" and (read_ts := decode(message[3]).received_ts) > newest.get(message[2], 0):
                    newest[message[2]] = read_ts
                    late[min(MAX, (now - read_ts) // UNIT_NS)] += 1
            if time.monotonic() - told >= 1.0:
                told = time.monotonic()
                sys.stdout.write(json.dumps({"ts": now, "late": late}) + "\n")
                sys.stdout.flush()
                late.clear()


if __name__ == "__main__":
    main(sys.argv[1])
