"""What tests of blocking code share: a writer, and a tape that leaves no thread behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crosstape import CandleProvider, SyncTape
from tests.tape.writing import Writer, threads


@pytest.fixture
def writer(valkey: str) -> Iterator[Writer]:
    """A writer of the run's server, which it finds empty."""
    writer = Writer(valkey)
    writer.redis.flushall()
    writer.redis.script_flush()
    yield writer
    writer.redis.close()


@pytest.fixture
def sync_tape(valkey: str, writer: Writer) -> Iterator[SyncTape]:
    """A blocking tape."""
    with SyncTape(valkey) as tape:
        yield tape
    assert threads("crosstape") == []


@pytest.fixture
def provider(valkey: str, writer: Writer) -> Iterator[CandleProvider]:
    """A provider that leaves no thread behind."""
    provider = CandleProvider(valkey)
    yield provider
    provider.stop()
    assert threads("crosstape") == []
