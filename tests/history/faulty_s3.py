"""A proxy before a server that speaks S3, which loses answers and refuses requests now and then, as a busy service does."""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import urlsplit

import pytest

HOP: Final = frozenset({"connection", "transfer-encoding", "content-length", "date", "server"})
"""Headers of an answer that are not passed on."""

Fault = Callable[[str, str], str]
"""Method and path of a request → what happens: `` (nothing), `busy` (503), `broken` (done, then 500), `lost` (done, and no answer)."""


def now_and_then(seed: int, share: float) -> Fault:
    """Faults of all sorts, at random."""
    chance = random.Random(seed)

    def fault(method: str, path: str) -> str:
        return chance.choice(["busy", "broken", "lost"]) if chance.random() < share else ""

    return fault


@contextlib.contextmanager
def faulty(address: str, fault: Fault, *, without: str = "") -> Iterator[str]:
    """The address of a proxy of `address`; meanwhile the variables of the environment lead to it. It leaves out the header `without`."""
    target = urlsplit(address).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind = fault(self.command, self.path)
            if kind == "busy":
                self._answer(503, {}, b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
                return
            connection = http.client.HTTPConnection(target, timeout=20)
            connection.request(
                self.command, self.path, body or None, {name: value for name, value in self.headers.items() if name.lower() != without}
            )
            reply = connection.getresponse()
            content, headers = reply.read(), dict(reply.getheaders())
            connection.close()
            if kind == "lost":
                self.close_connection = True
            elif kind == "broken":
                self._answer(500, {}, b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>")
            else:
                self._answer(reply.status, headers, content)

        def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass  # noqa: N815 - names of the library

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            own = f"http://127.0.0.1:{server.server_address[1]}"
            patch.setenv("AWS_ENDPOINT_URL", own)
            yield own
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
