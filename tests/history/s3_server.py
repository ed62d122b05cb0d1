"""A server that speaks S3, in a thread of the tests."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import pytest

BUCKET = "tape"


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Its address; it has the bucket `BUCKET`, and the variables of the environment lead to it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line for each request
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {
                "AWS_ENDPOINT_URL": address,
                "AWS_ACCESS_KEY_ID": "tests",
                "AWS_SECRET_ACCESS_KEY": "secret-of-tests",
                "AWS_REGION": "us-east-1",
            }.items():
                patch.setenv(name, value)
            make_bucket()
            yield address
    finally:
        server.stop()


def make_bucket() -> None:
    """Make the bucket on the server that the environment names."""
    import os
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(f"{os.environ['AWS_ENDPOINT_URL']}/{BUCKET}", method="PUT"), timeout=20).close()
