"""Asks a service whether it is healthy. A container does so every few seconds: this module loads nothing that it does not need."""

from __future__ import annotations

import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from crosstape.errors import SettingsError
from crosstape.runtime.exit_codes import Exit
from crosstape.settings import TelemetrySettings, load
from crosstape_cli.address import http_url

PATH: Final = "/readyz"
TIMEOUT_S: Final = 5.0


def probe(url: str = "", timeout_s: float = TIMEOUT_S, settings: Path | None = None) -> Exit:
    """Send one request to the service at `url`, else to the one that the settings describe, and print its answer.

    The connection uses no proxy: HTTP_PROXY and the like in the environment are for the connections to venues. Returns `Exit.OK` if the
    service works, else `Exit.FAILED`. Raises `SettingsError` if the address or the settings are wrong.
    """
    parts = _parsed(url or url_of(load.load(settings).telemetry))
    path = (parts.path if parts.path.strip("/") else PATH) + (f"?{parts.query}" if parts.query else "")
    connection = (HTTPSConnection if parts.scheme == "https" else HTTPConnection)(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        sys.stdout.write(answer.read().decode(errors="replace") + "\n")
    except (OSError, HTTPException) as exc:  # a TimeoutError is an OSError; HTTPException: the answer is no HTTP
        reason = " ".join(str(exc).split()) or type(exc).__name__
        sys.stderr.write(f"crosstape: {parts.scheme}://{parts.netloc}{path}: no answer: {reason}\n")
        return Exit.FAILED
    finally:
        connection.close()
    return Exit.OK if answer.status < 300 else Exit.FAILED


def url_of(telemetry: TelemetrySettings) -> str:
    """Returns the address of a service with these settings: `http://HOST:PORT`. Raises `SettingsError` if they name no port."""
    if not telemetry.http_enabled:
        raise SettingsError("telemetry.http_enabled is false: there is nothing to ask; set it, or name a service by --url")
    if not telemetry.http_port:
        raise SettingsError("telemetry.http_port = 0 is any free port: set one, or name the service by --url as its log says at the start")
    return http_url(telemetry.http_host, telemetry.http_port)


def _parsed(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0):
            return parts
    except ValueError:
        pass
    raise SettingsError(f"--url {url}: not the address of a service, as http://127.0.0.1:9100")
