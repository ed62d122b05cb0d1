"""Recognises variables that a container platform adds for its services, under names that start as our settings do.

Kubernetes describes every service of a namespace to every pod in it: a service named `crosstape-aggregator` becomes
`CROSSTAPE_AGGREGATOR_SERVICE_HOST`, `CROSSTAPE_AGGREGATOR_PORT=tcp://10.0.0.11:9100` and more. Docker's links do the same. Nobody set these
for us, so they are no mistakes in the settings. A variable counts as the platform's only if both its name and its value have the platform's
form: `CROSSTAPE_TELEMETRY_HTTP_PORT=9100` is a misspelt setting.

Kubernetes  https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
Docker      https://docs.docker.com/engine/network/links/#environment-variables
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Final

_PROTOCOL: Final = "(?:tcp|udp|sctp)"
_PORT: Final = rf"(?:_PORT_\d{{1,5}}_{_PROTOCOL.upper()})"


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda value: re.fullmatch(pattern, value) is not None


_is_number: Final = _matches(r"\d{1,5}")
_is_url: Final = _matches(rf"{_PROTOCOL}://\S+:\d{{1,5}}")

# End of the name → form of the value.
_FAMILY: Final = tuple(
    (re.compile(f".*{end}", re.DOTALL), is_value)
    for end, is_value in (
        (r"_SERVICE_HOST", _is_address),
        (r"_SERVICE_PORT(?:_[A-Z0-9_]+)?", _is_number),  # with the port's name, where it has one
        (r"_PORT", _is_url),
        (_PORT, _is_url),
        (rf"{_PORT}_PROTO", _matches(_PROTOCOL)),
        (rf"{_PORT}_PORT", _is_number),
        (rf"{_PORT}_ADDR", _is_address),
        (rf"{_PORT}(?:_PORT)?_(?:START|END)", lambda value: _is_url(value) or _is_number(value)),  # Docker: of a range of ports
        (r"_NAME", _matches(r"/[^/\s]+/[^/\s]+")),  # Docker: /container/link
    )
)


def is_service_variable(name: str, environ: Mapping[str, str]) -> bool:
    """Whether a container platform added this variable to describe a service, by its name and its value.

    What a linked container has in its own environment can be anything, so `X_ENV_…` counts only beside the `X_NAME` of that link.
    """
    value = environ[name]
    if any(pattern.fullmatch(name) and is_value(value) for pattern, is_value in _FAMILY):
        return True
    return any(
        (link := f"{name[: found.start()]}_NAME") in environ and is_service_variable(link, environ) for found in re.finditer("_ENV_", name)
    )
