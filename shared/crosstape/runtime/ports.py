"""Checks TCP ports before a service listens on them."""

from __future__ import annotations

import socket

from crosstape.errors import SettingsError


def check_free(host: str, port: int, where: str) -> None:
    """Raise `SettingsError` if the port is not free now. `where` is the option or the setting that asks for it. 0 is always free.

    This gives a clear error before anything starts. The port may still be taken by the time of listening.
    """
    if not port:
        return
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as exc:
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise SettingsError(f"{where}: cannot listen on {shown}: {exc.strerror or exc}") from exc
