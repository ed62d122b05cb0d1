"""Append-only files of servers that were killed while they wrote a transaction."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from crosstape.bus import Publisher
from crosstape.runtime.embedded_server import MENDER
from tests.bus.tape import TRADES, fast, ids, numbers, on_tape, publishing, stamped, trade, whole
from tests.engines import AOF, StartServer

texts = st.one_of(
    st.sampled_from(["MULTI", "EXEC", "*1", "$5", "$4"]), st.text(st.characters(codec="utf-8", min_codepoint=32), max_size=20)
)
commands = st.lists(texts, min_size=2, max_size=4).map(lambda words: as_written(*words))
bodies = st.lists(commands, min_size=1, max_size=4).map(b"".join)
transactions = bodies.map(lambda body: as_written("MULTI") + body + as_written("EXEC"))


def as_written(*words: str | bytes) -> bytes:
    """Returns one command in the form of an append-only file."""
    encoded = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)


def mend(directory: Path) -> str:
    """Run the script. Returns its output."""
    return subprocess.run([MENDER, directory], check=True, capture_output=True, text=True, timeout=20).stderr


@given(before=st.lists(st.one_of(commands, transactions), max_size=5).map(b"".join), last=transactions, data=st.data())
def test_an_unfinished_transaction_is_cut_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, before: bytes, last: bytes, data: st.DataObject
) -> None:
    """The server may be killed within a command of the transaction, or between two commands.

    If even the beginning of the transaction is incomplete, the server itself cuts it off.
    """
    written = data.draw(st.integers(0, len(last)))
    file = tmp_path_factory.mktemp("data") / AOF
    file.parent.mkdir()
    file.write_bytes(before + last[:written])

    said = mend(file.parents[1])

    if len(as_written("MULTI")) <= written < len(last):
        assert file.read_bytes() == before
        assert f"{file}: {written} bytes" in said
    else:
        assert file.read_bytes() == before + last[:written]
        assert not said


def test_a_file_longer_than_what_is_looked_at_is_cut_where_it_should_be(tmp_path: Path) -> None:
    """Places are counted from the beginning of the file."""
    file = tmp_path / AOF
    file.parent.mkdir()
    with file.open("wb") as out:
        out.write(as_written("MULTI"))  # and no end: too far away to be looked at
        out.write(as_written("SET", "a", "0" * 1000) * 70_000)
        out.write(as_written("MULTI") + as_written("SET", "a", "1") + as_written("EXEC"))
        whole_size = out.tell()
        out.write(as_written("MULTI") + as_written("SET", "a", "2"))
    mend(tmp_path)
    assert file.stat().st_size == whole_size


def test_data_of_which_there_are_none_need_no_mending(tmp_path: Path) -> None:
    """The first start."""
    assert not mend(tmp_path)


async def test_what_was_never_acknowledged_does_not_come_onto_the_tape_later(start_server: StartServer) -> None:
    """A server is killed within a batch, comes back, is written to, and starts once more.

    Unmended, Redis has three entries then that were in the unfinished batch, and lacks the three oldest.
    """
    server = await start_server(persist=True, options={"appendfsync": "always"})
    async with Redis.from_url(server.url) as client, publishing(fast(server.url)) as publisher:
        await publish(publisher, 1, 10)
        milliseconds = int((await ids(client))[-1].split("-")[0])
        additions = [
            as_written("XADD", TRADES, "MAXLEN", "=", str(seq), f"{milliseconds + seq}-0", "d", stamped(trade(seq), 1, seq))
            for seq in range(11, 15)
        ]
        await server.append(b"".join((as_written("MULTI"), *additions))[:-20])
        await server.kill()
        await server.start()
        await publish(publisher, 11, 20)
    await server.kill()
    await server.start()
    async with Redis.from_url(server.url) as client:
        assert numbers(await on_tape(client)) == whole(20)


async def publish(publisher: Publisher, first: int, last: int) -> None:
    """Trades of these numbers, until they are acknowledged."""
    for number in range(first, last + 1):
        publisher.publish(trade(number))
    assert await publisher.drain(20)
