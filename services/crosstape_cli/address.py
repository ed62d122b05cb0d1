"""Addresses of our own services, as one asks them from this machine."""

from __future__ import annotations

from typing import Final

ANYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where one listens is not where one asks
"""For a service that listens on all addresses: the address to ask."""


def http_url(host: str, port: int) -> str:
    """Returns `http://HOST:PORT` for a service that listens on this host and port."""
    asked = ANYWHERE.get(host, host)
    return f"http://[{asked}]:{port}" if ":" in asked else f"http://{asked}:{port}"
