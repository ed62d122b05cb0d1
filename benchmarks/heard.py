"""Receives consolidated quotes on their channels, as a strategy does, and says how old each is."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple
from urllib.parse import urlsplit

import harness
import hiredis
import msgspec
import redis

from crosstape_schemas import Keys

WARM_UP_S = 2.0
IDLE_S = 3.0
"""A pause after which no more is waited for."""
SPARE_S = 60.0
"""A source of quotes should last this much longer than warm-up and measurement: on a busy machine they begin late."""
APPEAR_S = 60.0


class Stamped(msgspec.Struct):
    """The fields of a consolidated quote that are needed here."""

    bid_size: Decimal | None
    """The moment of its sending: s since the epoch."""


class Heard(NamedTuple):
    """What was received, and what it cost."""

    seconds: float
    written: int
    """How many quotes of venues were put on the tape meanwhile."""
    latencies: list[float]
    """From the sending of a quote to the arrival of what was made of it, µs, ascending."""
    cpu_s: dict[str, float]
    """CPU seconds of each process that was watched, and of the server."""

    def figures(self) -> dict[str, float]:
        """Returns how many quotes came a second, and how long they took."""
        return {
            "quotes_per_s": round(len(self.latencies) / self.seconds),
            "p50_us": round(harness.percentile(self.latencies, 0.5)),
            "p99_us": round(harness.percentile(self.latencies, 0.99)),
            "max_us": round(self.latencies[-1]),
        }


def streams(kind: str, names: Sequence[str]) -> list[str]:
    """Returns the streams of one kind of these instruments; their channels have the same names."""
    return [Keys().stream(kind, name) for name in names]


def wait_for_quotes(url: str, names: Sequence[str]) -> None:
    """Return once there is a consolidated quote of each of these instruments."""
    deadline = time.monotonic() + APPEAR_S
    with redis.Redis.from_url(url) as client:
        while (found := client.exists(*streams("cbbo", names))) != len(names):
            if time.monotonic() > deadline:
                raise SystemExit(f"only {found} of {len(names)} instruments have a consolidated quote after {APPEAR_S:.0f} s")
            time.sleep(0.05)


def listen(url: str, names: Sequence[str], seconds: float, watched: dict[str, int]) -> Heard:
    """Receive the consolidated quotes of these instruments for so long after a warm-up.

    `watched`: the pid of each process whose CPU time is wanted, by name. Ends the program if none comes for a while.
    """
    decode = msgspec.json.Decoder(Stamped).decode
    reader = hiredis.Reader()
    found: list[float] = []
    with redis.Redis.from_url(url) as client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as subscriber:
        subscriber.connect(urlsplit(url).path)
        subscriber.settimeout(IDLE_S)
        words = ("SUBSCRIBE", *streams("cbbo", names))
        subscriber.sendall("".join((f"*{len(words)}\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in words))).encode())
        warm_s = time.monotonic() + WARM_UP_S
        while time.monotonic() < warm_s:
            reader.feed(_received(subscriber))
            while reader.gets() is not False:
                pass
        written, before, begun_ns = _written(client, names), _spent(url, watched), time.time_ns()
        end_ns = begun_ns + round(seconds * 1e9)
        while (now := time.time_ns()) < end_ns:
            reader.feed(_received(subscriber))
            now = time.time_ns()
            while (message := reader.gets()) is not False:
                if message[0] != b"message" or (stamp := decode(message[2]).bid_size) is None:
                    continue
                sent_ns = int(stamp * 1_000_000_000)
                if sent_ns > begun_ns:  # what waited while the counters were read is too old
                    found.append((now - sent_ns) / 1_000)
        passed, after, written = (now - begun_ns) / 1e9, _spent(url, watched), _written(client, names) - written
    if not found:
        raise SystemExit("no consolidated quote was received in the measured time")
    return Heard(passed, written, sorted(found), {name: after[name] - used for name, used in before.items()})


def _received(subscriber: socket.socket) -> bytes:
    try:
        return subscriber.recv(1 << 20)
    except TimeoutError as exc:
        raise SystemExit(f"no consolidated quote was received for {IDLE_S:.0f} s") from exc


def _written(client: redis.Redis, names: Sequence[str]) -> int:
    with client.pipeline(transaction=False) as pipeline:
        for stream in streams("quote", names):
            pipeline.xinfo_stream(stream)
        return sum(int(found["entries-added"]) for found in pipeline.execute())


def _spent(url: str, watched: dict[str, int]) -> dict[str, float]:
    return {name: harness.cpu_s(pid) for name, pid in watched.items()} | {"server": harness.server_cpu_s(url)}
