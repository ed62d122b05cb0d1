"""`crosstape health`: asks a running service whether it works, for container health checks and for people."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from crosstape.runtime.exit_codes import Exit
from crosstape_cli.health_request import TIMEOUT_S, probe
from crosstape_cli.options import SettingsFile

Url = Annotated[
    str,
    Parameter(
        help="Address of the service, as it logs at the start (telemetry.listening): http://127.0.0.1:9100; the path is /readyz if none is"
        " given. Default: telemetry.http_host and telemetry.http_port, on this machine."
    ),
]


def health(
    *, url: Url = "", timeout_s: Annotated[float, Parameter(help="Longest wait for the answer.")] = TIMEOUT_S, settings: SettingsFile = None
) -> Exit:
    """Ask a service whether it works. Prints its answer; the exit code is 0 if it works and 1 if not.

    Without options it asks the service that the environment describes, as a container's health check does. That is the fastest way.
    """
    return probe(url, timeout_s, settings)
