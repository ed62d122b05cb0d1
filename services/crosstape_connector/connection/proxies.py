"""Chooses the proxy of a connection to a venue, from the settings or the environment. Opens nothing: see `tunnel`.

The environment is read as other programs read it: `HTTPS_PROXY` for https and wss, `HTTP_PROXY` for http and ws, `ALL_PROXY` for schemes
without their own variable, `NO_PROXY` for hosts without a proxy. Names in small letters win over names in capitals.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from crosstape.errors import SettingsError
from crosstape.settings import FROM_ENVIRONMENT, shown

PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_VARIABLES: Final = {
    "http": ("http", "all"),
    "https": ("https", "all"),
    "ws": ("ws", "http", "https", "all"),  # a WebSocket is always tunnelled, which a proxy for https is there for
    "wss": ("wss", "https", "all"),
}


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy that supports CONNECT."""

    host: str
    port: int
    tls: bool
    """Whether the connection to the proxy itself is TLS."""
    source: str
    """The setting or variable that names the proxy."""
    authorization: str = ""
    """Value of `Proxy-Authorization`; empty = none. Never shown."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port} ({self.source})"

    __repr__ = __str__

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("proxy", str(self))]


class Proxies:
    """Finds the proxy of an address by its scheme, host and port."""

    def __init__(self, setting: str, given: str, environ: Mapping[str, str]) -> None:
        """`given` is the value of `setting`: a proxy's URL, empty for none, or `environment`. Raises `SettingsError`."""
        self._setting = setting
        self._named: dict[str, tuple[str, str]] = {}  # scheme → variable and value
        self._exempt: list[str] = []
        self._chosen = parsed(setting, given, setting) if given not in ("", FROM_ENVIRONMENT) else None
        if given == FROM_ENVIRONMENT:
            self._named = {scheme: found for scheme, names in _VARIABLES.items() if (found := _variable(environ, names))[1]}
            self._exempt = re.split(r"[\s,]+", _variable(environ, ("no",))[1].lower())

    def for_url(self, url: str) -> Proxy | None:
        """Return the proxy for this address, or None. Raises `SettingsError` if the variable that names it cannot be used."""
        if self._chosen is not None:
            return self._chosen
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port or PORTS.get(parts.scheme, 0)
        if parts.scheme not in self._named or _is_exempt(host, port, self._exempt):
            return None
        return parsed(*self._named[parts.scheme], self._setting)


def parsed(source: str, value: str, setting: str) -> Proxy:
    """Return the proxy that `source`, a setting or a variable, names. Raises `SettingsError`, which shows no password."""
    try:
        parts = urlsplit(value if "://" in value or source == setting else f"http://{value}")
        port = parts.port
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or parts.path.strip("/") or parts.query or parts.fragment:
        what = "only http:// and https:// proxies can be used" if parts.scheme.startswith("socks") else "expected http://HOST:PORT"
        other = "" if source == setting else f'; or set {setting} ("": no proxy)'
        raise SettingsError(f"{source} = {shown(value)}: {what}{other}")
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    pair = f"{unquote(user)}:{unquote(password)}" if user or password else ""
    authorization = f"Basic {base64.b64encode(pair.encode()).decode()}" if pair else ""
    return Proxy(parts.hostname, port or PORTS[parts.scheme], parts.scheme == "https", source, authorization)


def _variable(environ: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    """Return name and value of the first variable that is not empty."""
    for name in names:
        for variable in (f"{name}_proxy", f"{name.upper()}_PROXY"):
            if value := environ.get(variable, "").strip():
                return variable, value
    return "", ""


def _is_exempt(host: str, port: int, entries: list[str]) -> bool:
    return any(_covers(entry, host.lower(), port) for entry in entries if entry)


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether an entry of `NO_PROXY` covers this host: `*`, a name and its subdomains, an address or network; a port limits it."""
    if entry == "*":
        return True
    address = _address(host)
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            pass  # not an address or a network: perhaps one with a port
    name, colon, number = entry.rpartition(":")
    if colon:
        if not number.isdecimal() or int(number) != port:
            return False
        entry = name
    if address is not None:
        return address == _address(entry.strip("[]"))
    name = entry.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
