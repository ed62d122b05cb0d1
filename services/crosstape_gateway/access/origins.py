"""Decides which hosts and origins a browser may come from. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

ANY: Final = "*"
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own, for connections from itself only."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Whether it is an IP address and no name."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def host_of(header: str) -> str:
    """Returns the host of a `Host` header, in lower case and without its port; empty if it is none."""
    found = _HOST.fullmatch(header.strip())
    return found[1].lower().rstrip(".") if found else ""


def origin_mistake(origin: str) -> str:
    """Says what is wrong with an origin of the settings; empty: nothing is."""
    if origin == ANY:
        return ""
    try:
        parts = urlsplit(origin)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(parts.netloc) or f"{parts.scheme}://{parts.netloc}" != origin:
        return "expected an origin: https://HOST or http://HOST:PORT, without a path"
    return ""


def is_own(origin: str, host_header: str) -> bool:
    """Whether the page of an origin was loaded from here: the `Host` header names the same host and port.

    The scheme does not count: behind a proxy with TLS, the browser's is https and ours http.
    """
    try:
        parts = urlsplit(origin)
    except ValueError:  # such as http://[
        return False
    own = host_header.strip().lower()
    if parts.scheme not in _DEFAULT_PORTS or not own or not parts.netloc:
        return False
    default = ":" + _DEFAULT_PORTS[parts.scheme]
    return parts.netloc.lower().removesuffix(default) == own.removesuffix(default)


def is_listed(origin: str, allowed: Sequence[str]) -> bool:
    """Whether an origin is in the settings by its name."""
    wanted = _normal(origin)
    return any(one != ANY and _normal(one) == wanted for one in allowed)


def _normal(origin: str) -> str:
    scheme, _, rest = origin.lower().partition("://")
    return f"{scheme}://{rest.removesuffix(':' + _DEFAULT_PORTS[scheme]) if scheme in _DEFAULT_PORTS else rest}"
