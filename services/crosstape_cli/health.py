"""`crosstape health`: what a running service reports about itself, for container health checks and for people."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from crosstape.runtime.exit_codes import Exit
from crosstape_cli.health_request import TIMEOUT_S, probe
from crosstape_cli.options import SettingsFile

Url = Annotated[
    str,
    Parameter(
        help="Address of the service, as its log has it (telemetry.listening): http://127.0.0.1:9100; without a path, /readyz is requested."
        " Default: that of telemetry.http_host and telemetry.http_port, on this machine."
    ),
]


def health(
    *, url: Url = "", timeout_s: Annotated[float, Parameter(help="Longest wait for the answer.")] = TIMEOUT_S, settings: SettingsFile = None
) -> Exit:
    """Ask a service whether it is healthy: prints its answer, and exits with 0 if it is and 1 if not.

    Without an option it asks the service that the environment describes, as a container's health check does. That costs least.
    """
    return probe(url, timeout_s, settings)
