"""Shared by the benchmarks: a private server, a frame source, child processes, and the printing of the figures."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import interpreter
import redis

from crosstape.runtime.embedded_server import EmbeddedServer

HERE = Path(__file__).parent


@contextlib.contextmanager
def server(url: str = "", *, tcp: bool = False) -> Iterator[str]:
    """Yields the url of a server: the given one, or an embedded server that runs for the length of the block.

    It listens on a unix socket; with `tcp`, on a loopback port.
    """
    if url:
        yield url
        return
    import asyncio  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="crosstape-bench-") as run_dir:
        embedded = EmbeddedServer(run_dir, port=0 if tcp else None)
        asyncio.run(embedded.start())
        try:
            yield embedded.tcp_url if tcp else embedded.url
        finally:
            asyncio.run(embedded.stop())


@contextlib.contextmanager
def process(*command: str, stdin: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Run a child process for the length of the block. Its standard error is ours."""
    child = subprocess.Popen([sys.executable, *command], stdin=subprocess.PIPE if stdin else None, stdout=subprocess.PIPE)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextlib.contextmanager
def source(*options: str) -> Iterator[int]:
    """Start a frame source (see `source`); yields its port."""
    with process(str(HERE / "source.py"), "0", *options) as child:
        assert child.stdout is not None
        yield int(json.loads(child.stdout.readline())["port"])


def instruments(count: int) -> tuple[str, ...]:
    """Returns the names of the source's instruments, as `COIN0-USDT`."""
    return tuple(f"COIN{i}-USDT" for i in range(count))


def cpu_s(pid: int) -> float:
    """Returns the CPU seconds, user and system, that a running process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def server_cpu_s(url: str) -> float:
    """Returns the CPU seconds, user and system, that the server has used."""
    with redis.Redis.from_url(url) as client:
        info = client.info("cpu")
    assert isinstance(info, dict)
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def percentile(ordered: Sequence[float], share: float) -> float:
    """Returns the value below which `share` (0 to 1) of an ascending sequence lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def report(**figures: object) -> None:
    """Print the figures as one JSON line on standard output."""
    print(json.dumps({**interpreter.described(), **figures}), flush=True)
