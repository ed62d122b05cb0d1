"""How long it takes from a frame's reading to the consolidated quote on its channel, measured by a subscriber that does nothing else.

    python -m tests.chaos.listener SOCKET

Prints a JSON line a second: `{"ts": ns, "late": {"3": 410, …}}`, how many quotes came so many `UNIT_NS` after `received_ts`, the moment
when the newest frame in them was read from the venue's socket; one that has no newer frame than the one before (a window moved on, a leg
has settled) is not counted. A process of its own: whoever checks the tape must not disturb it.
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
    """What is read of a quote."""

    received_ts: int


def main(path: str) -> None:
    """Until the server, or whoever reads us, is gone."""
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
