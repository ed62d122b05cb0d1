"""`crosstape health`: what a running service says of itself, for container health checks and for people."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Annotated, Final
from urllib.parse import urlsplit

from cyclopts import Parameter

from crosstape.errors import SettingsError
from crosstape.lifecycle import Exit

DEFAULT_PATH: Final = "/readyz"


Url = Annotated[
    str,
    Parameter(
        help="Of the service, as its log says at the start (telemetry.listening): http://127.0.0.1:9100. Without a path, /readyz is asked."
    ),
]


def health(*, url: Url, timeout_s: Annotated[float, Parameter(help="Longest wait for the answer.")] = 5.0) -> Exit:
    """Ask a service whether it does its work; prints its answer, exits 0 if so and 1 if not."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise SettingsError(f"--url {url}: not the address of a service, as http://127.0.0.1:9100")
    asked = url if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}{DEFAULT_PATH}"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy of the environment is for venues, not for our own
    try:
        with direct.open(asked, timeout=timeout_s) as answer:
            sys.stdout.write(answer.read().decode(errors="replace") + "\n")
    except urllib.error.HTTPError as exc:
        sys.stdout.write(exc.read().decode(errors="replace") + "\n")
        return Exit.FAILED
    except (OSError, HTTPException) as exc:  # a URLError and a TimeoutError are OSErrors; what is no HTTP is the other
        reason = " ".join(str(getattr(exc, "reason", exc)).split())
        sys.stderr.write(f"crosstape: {asked}: no answer: {reason}\n")
        return Exit.FAILED
    return Exit.OK
