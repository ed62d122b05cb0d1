"""The processes of a demo: the simulator, and what reads from it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec

from crosstape.runtime.embedded_server import free_ports
from crosstape.settings.environment import PREFIX
from crosstape_cli.demo_outputs import outputs
from crosstape_cli.supervise import Service, crosstape

LOOPBACK: Final = "127.0.0.1"

DRAIN_S: Final = 3.0
"""How long a process of a demo may take to publish what is pending when it ends."""

COMMIT_S: Final = 5.0
"""Longest time until what was read is in the store of a demo that is recorded."""


class Stand(msgspec.Struct, frozen=True):
    """What a demo runs, and where it listens. Ports are chosen once, so that they are the same after a restart of a process."""

    venues: Mapping[str, int]
    """Simulated venue → its port."""
    page: int
    """Port of the gateway."""
    simulated: tuple[str, ...] = ()
    """Further arguments of `crosstape simulate`."""
    record: Path | None = None
    """Folder to which a recorder keeps the tape; None: there is no recorder."""

    @classmethod
    def of(cls, venues: Sequence[str], page: int, simulated: Sequence[str], record: Path | None = None) -> Self:
        """Returns a stand with free ports; `page`: 0, or the port that the gateway shall have."""
        free, *others = free_ports(1 + len(venues))
        return cls(dict(zip(venues, others, strict=True)), page or free, tuple(simulated), record)

    @property
    def page_url(self) -> str:
        """Address of the page."""
        return f"http://{LOOPBACK}:{self.page}/"

    def settings_file(self, directory: Path) -> Path:
        """Returns the file in which the simulator writes the settings for its venues. It exists as soon as they listen."""
        return directory / "venues.toml"

    def services(self, directory: Path, logs: Path, url: str) -> list[Service]:
        """Returns the simulator, then all others. The user's own settings are left out: they concern other tapes.

        `directory` is their run directory, `logs` that of their logs, `url` the address of their server.
        """
        environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        environ |= {"CROSSTAPE_BUS__URL": url, "CROSSTAPE_RUN__DIR": str(directory), "CROSSTAPE_TELEMETRY__LOG_FORMAT": "console"}
        environ["CROSSTAPE_RUN__DRAIN_S"] = f"{DRAIN_S:g}"
        environ |= {f"{PREFIX}VENUES__{venue.upper()}__PROXY": "" for venue in self.venues}  # they are on this machine
        environ |= outputs(list(self.venues))
        environ |= {"CROSSTAPE_GATEWAY__HOST": LOOPBACK, "CROSSTAPE_GATEWAY__PORT": str(self.page)}
        if self.record is not None:  # else the gateway has no history, and needs no extra for one
            environ |= {"CROSSTAPE_RECORDER__STORE": str(self.record.absolute()), "CROSSTAPE_RECORDER__COMMIT_S": f"{COMMIT_S:g}"}
        file = str(self.settings_file(directory))
        options = [option for venue, port in self.venues.items() for option in ("--venue", venue, "--port", f"{venue}={port}")]
        option = ("--settings", file)
        runs: Mapping[str, tuple[str, ...]] = {
            "simulator": ("simulate", "--write", file, "--stablecoins", *self.simulated, *options),
            **{f"connector.{venue}": ("connector", "--venue", venue, *option) for venue in self.venues},
            "aggregator": ("aggregator", *option),
            "gateway": ("gateway", *option),
            **({"recorder": ("recorder", *option)} if self.record is not None else {}),
        }
        return [Service(name, crosstape(*arguments), environ, logs / f"{name}.log") for name, arguments in runs.items()]
