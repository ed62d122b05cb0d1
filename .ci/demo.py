"""Runs `make demo` as a person does, in a fresh clone: what it prints at the end, and what its page and its REST have meanwhile.

Exits with 1, naming what is missing, unless quotes of five instruments are consolidated from three venues or more, in all three places.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

VENUES = 5
WHOLE = 5
SECONDS = 25
"""How long the demo runs; quotes must be on the page before that."""
POLL_S = 0.2


def ask(url: str) -> bytes:
    """Returns the body of an answer. Raises `OSError` if there is none, or not 200."""
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  # our own address
        body: bytes = answer.read()
    return body


def whole(quotes: list[dict[str, Any]]) -> list[str]:
    """Returns the instruments that are consolidated from three venues or more."""
    return sorted(quote["instrument"] for quote in quotes if quote["venues"] >= 3)


def watched(url: str, demo: subprocess.Popen[str], began: float) -> str:
    """Wait for the page, then for its quotes and venues. Returns what was found. Raises `RuntimeError` if they do not come."""
    page_s, found, venues = 0.0, [], set[str]()
    while demo.poll() is None:
        try:
            if not page_s:
                body = ask(url)
                if b"<html" not in body:
                    raise RuntimeError(f"{url} is no page: {body[:200]!r}")
                page_s = time.monotonic() - began
            found = whole(json.loads(ask(f"{url}api/quotes"))["quotes"])
            venues = {venue["venue"] for venue in json.loads(ask(f"{url}api/venues"))["venues"]}
        except urllib.error.HTTPError as exc:
            raise RuntimeError(f"{exc.url}: {exc.status} {exc.read()[:200]!r}") from exc
        except OSError:
            pass  # not there yet
        if page_s and len(found) >= WHOLE and len(venues) >= VENUES:
            whole_s = time.monotonic() - began
            return f"the page after {page_s:.1f} s; {len(found)} such instruments and {len(venues)} venues by REST after {whole_s:.1f} s"
        time.sleep(POLL_S)
    raise RuntimeError(f"the demo ended; page after {page_s:.1f} s (0: never), by REST instruments {found}, venues {sorted(venues)}")


def main() -> int:
    """Run the demo; returns the exit code."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    began = time.monotonic()
    command = ["make", "demo", f"ARGS=--seconds {SECONDS} --json --page {port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:  # noqa: S603  # the same
        try:
            said = watched(f"http://127.0.0.1:{port}/", demo, began)
        except RuntimeError as exc:
            said = str(exc)
            demo.terminate()
            ok = False
        else:
            ok = True
        assert demo.stdout is not None
        quotes = [json.loads(line) for line in demo.stdout]
    printed = whole(quotes)
    sys.stdout.write(f"{len(printed)} of {len(quotes)} instruments consolidated from three venues: {printed}\n{said}\n")
    return 0 if ok and demo.returncode == 0 and len(printed) >= WHOLE else 1


if __name__ == "__main__":
    sys.exit(main())
