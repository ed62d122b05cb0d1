"""The services of `crosstape up`: which ones the settings ask for, and what changes when they are read again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from crosstape.errors import HistoryError, SettingsError
from crosstape.history.opening import check_named_store, check_store
from crosstape.runtime.embedded_server import free_port
from crosstape.runtime.ports import check_free
from crosstape.settings import GatewaySettings, Settings
from crosstape_cli.address import http_url
from crosstape_cli.options import load
from crosstape_cli.supervise import Children, Service, crosstape
from crosstape_gateway.access import check_access
from crosstape_gateway.access.tokens import Tokens

CONNECTOR: Final = "connector."
"""The name of a connector's service begins with this; the name of the venue follows."""

GATEWAY: Final = "gateway"
"""Name of the gateway's service."""

RECORDER: Final = "recorder"
"""Name of the recorder's service."""

log = structlog.get_logger(__name__)


def enabled(settings: Settings) -> list[str]:
    """Returns the names of the venues to run, in the order of the settings: enabled, with at least one instrument."""
    return [name for name, venue in settings.venues.items() if venue.enabled and venue.instruments]


def check_gateway(settings: Settings) -> None:
    """Raise `SettingsError` if the gateway would refuse these settings: one error now, instead of one from a process later."""
    if settings.gateway.enabled:
        check_access(settings.gateway)
        if settings.gateway.tokens_file:
            Tokens(settings.gateway.tokens_file)


def check_recorder(settings: Settings, environ: Mapping[str, str] | None = None) -> None:
    """Raise `SettingsError` or `HistoryError` if the recorder, or the gateway, could not open a store with these settings."""
    if settings.recorder.enabled:
        check_store(settings, environ)
    elif settings.gateway.enabled:
        check_named_store(settings, environ)


class ConfiguredServices:
    """The services that the settings ask for: at the start, and each time that the settings are read again."""

    def __init__(self, settings: Settings, file: Path | None, environ: Mapping[str, str]) -> None:
        self.children = Children()
        self._venues = enabled(settings)
        self._telemetry = settings.telemetry
        self._gateway = settings.gateway
        self._recorder = settings.recorder
        self._free_port = 0
        """Port of a gateway whose settings leave the choice to us: the same after a restart."""
        self._file = file
        self._environ = environ
        self._ports: dict[str, int] = {}

    def check_ports(self) -> None:
        """Raise `SettingsError` if the port of a service is in use: one error now, instead of one from each child later."""
        count = len(self.services())
        self._check_port(self._gateway)
        if not self._telemetry.http_enabled:
            return
        for name, port in self._ports.items():
            where = f"telemetry.http_port = {self._telemetry.http_port}, from which on `up` gives {count} services one each: {name}"
            check_free(self._telemetry.http_host, port, where)

    def services(self) -> list[Service]:
        """Returns the services to start first: a connector for each enabled venue, the aggregator, the gateway and the recorder."""
        services = [*map(self._connector, self._venues), self._service("aggregator", ("aggregator",))]
        services += [self._page()] if self._gateway.enabled else []
        return [*services, self._service(RECORDER, (RECORDER,))] if self._recorder.enabled else services

    @property
    def page_url(self) -> str | None:
        """Address of the page; None without a gateway."""
        return f"{http_url(self._gateway.host, self._page_port())}/" if self._gateway.enabled else None

    def reload(self) -> None:
        """Read the settings again. If they are right, reload all connectors, start those of new venues, stop those of removed venues.

        The gateway and the recorder are started again, started or stopped if their sections have changed.
        """
        try:
            fresh = load(self._file)
            if not (venues := enabled(fresh)):
                raise SettingsError("venues: none is enabled and has instruments: there would be nothing to run")
            check_recorder(fresh, self._environ)
            if fresh.gateway != self._gateway:
                check_gateway(fresh)
                before = self._gateway
                if not before.enabled or (fresh.gateway.host, fresh.gateway.port) != (before.host, before.port):
                    self._check_port(fresh.gateway)  # else it is our own gateway that listens there
        except (SettingsError, HistoryError) as exc:
            log.error("settings.refused", error="; ".join(str(exc).splitlines()))
            return
        self.children.send_sighup()
        connectors = {service.name: service for service in map(self._connector, venues)}
        for name in self.children.names:
            if name.startswith(CONNECTOR) and name not in connectors:
                self.children.remove(name)
        for name in connectors.keys() - self.children.names:
            self.children.add(connectors[name])
        if fresh.gateway != self._gateway:
            self._gateway = fresh.gateway
            self._replace(GATEWAY, self._page() if self._gateway.enabled else None)
        if fresh.recorder != self._recorder:
            self._recorder = fresh.recorder
            self._replace(RECORDER, self._service(RECORDER, (RECORDER,)) if self._recorder.enabled else None)

    def _replace(self, name: str, service: Service | None) -> None:
        """Stop the service of this name if it runs, and start this one, if there is one."""
        if name in self.children.names:
            self.children.remove(name)
        if service is not None:
            self.children.add(service)

    def _check_port(self, gateway: GatewaySettings) -> None:
        if not gateway.enabled:
            return
        where = f"gateway.port = {gateway.port}"
        for name, port in self._ports.items():
            if port == gateway.port:
                raise SettingsError(f"{where}: `up` gives this port to {name} (telemetry.http_port = {self._telemetry.http_port} and on)")
        try:
            check_free(gateway.host, gateway.port, where)
        except SettingsError as exc:
            raise SettingsError(f"{exc}; set another, or 0 for a free one, or gateway.enabled = false") from exc

    def _connector(self, venue: str) -> Service:
        return self._service(f"{CONNECTOR}{venue}", ("connector", "--venue", venue), reloads=True)

    def _page(self) -> Service:
        return self._service(GATEWAY, (GATEWAY,), CROSSTAPE_GATEWAY__PORT=str(self._page_port()))

    def _page_port(self) -> int:
        if not self._gateway.port and not self._free_port:
            self._free_port = free_port()
        return self._gateway.port or self._free_port

    def _service(self, name: str, arguments: tuple[str, ...], *, reloads: bool = False, **variables: str) -> Service:
        option = () if self._file is None else ("--settings", str(self._file))
        own = {**self._environ, **variables}
        first = self._telemetry.http_port
        if first:  # a service that is added later gets the next port; one that is added again gets its own port again
            own["CROSSTAPE_TELEMETRY__HTTP_PORT"] = str(self._ports.setdefault(name, first + len(self._ports)))
        return Service(name, crosstape(*arguments, *option), own, reloads=reloads)
