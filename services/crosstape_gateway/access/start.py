"""Checks at the start that the settings open the gateway to nobody by mistake."""

from __future__ import annotations

import re
from typing import Final

from crosstape.errors import SettingsError
from crosstape.settings import GatewaySettings
from crosstape_gateway.access.origins import ANY, is_loopback, origin_mistake

_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[?[0-9A-Fa-f:.]+\]?")


def check_access(settings: GatewaySettings) -> None:
    """Raises `SettingsError` if anybody could read who was not meant to. The file of tokens is read by `Access`."""
    if not settings.tokens_file and settings.open_to != "anywhere" and not is_loopback(settings.host):
        raise SettingsError(
            f"gateway.host = {settings.host!r}: this is no loopback address, and there are no tokens, so anyone on the network could read;"
            ' set gateway.tokens_file, or gateway.open_to = "anywhere" where something else keeps others away'
        )
    for origin in settings.allowed_origins:
        if mistake := origin_mistake(origin):
            raise SettingsError(f"gateway.allowed_origins: {origin[:80]!r}: {mistake}")
    if ANY in settings.allowed_origins and not settings.tokens_file:
        raise SettingsError(
            "gateway.allowed_origins has '*': then the page of any site could read through the browsers of those who can reach this"
            " gateway; set gateway.tokens_file, or name the origins"
        )
    for host in settings.hosts:
        if not _NAME.fullmatch(host):
            raise SettingsError(f"gateway.hosts: {host[:80]!r}: expected the name of a host, without scheme and port: desk.example")
