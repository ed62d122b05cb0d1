"""`crosstape simulate`: serves simulated venues on this machine: a synthetic market, or recordings that are played back."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from crosstape.errors import SettingsError
from crosstape.runtime.lifecycle import Exit, main
from crosstape.runtime.ports import check_free
from crosstape.settings.model import default_venues
from crosstape_cli.options import SettingsFile, begin_logging, load, no_such_venue
from crosstape_connector.venues.registry import VENUES as PROTOCOLS
from crosstape_schemas import TIMEFRAMES
from crosstape_simulator.errors import FaultError
from crosstape_simulator.faults import parse, table
from crosstape_simulator.faults.spec import AnyFault
from crosstape_simulator.service import run
from crosstape_simulator.spec import SimulatorSpec
from crosstape_simulator.venues.registry import DEFAULT, VENUES, default_listings

Names = Annotated[
    tuple[str, ...],
    Parameter(negative="", help=f"Venues: any of {', '.join(VENUES)}; default: {', '.join(DEFAULT)}, or those played."),
]
Recordings = Annotated[tuple[Path, ...], Parameter(negative="", help="Capture files to play in place of a synthetic market.")]
Ports = Annotated[tuple[str, ...], Parameter(negative="", help="Fixed ports: kraken=8001; default: free ones.")]
Faults = Annotated[
    tuple[str, ...],
    Parameter(
        negative="",
        help='A fault, such as "stall venue=kraken instrument=BTC-USDT after=20 for=10"; give the option once for each fault.\n'
        + "\n".join(f"{name}: {what}" for name, what, _ in table.rows()),
    ),
]
Control = Annotated[
    str | None,
    Parameter(help="[HOST:]PORT (0: a free port) where you set faults and read the true market while it runs; default: none."),
]


def simulate(
    *,
    venue: Names = (),
    play: Recordings = (),
    speed: Annotated[float, Parameter(help="Speed of recordings: 1 as recorded, 10 ten times as fast, 0 as fast as clients read.")] = 1.0,
    repeat: Annotated[bool, Parameter(negative="", help="Play recordings again for clients that connect after their end.")] = False,
    seed: Annotated[int, Parameter(help="Seed of the synthetic market: the same seed, the same orders.")] = 1,
    past_hours: Annotated[int, Parameter(help="Hours before the start of which venues have trades and candles by REST.")] = 0,
    rate: Annotated[float, Parameter(help="Orders a second, over all synthetic venues.")] = 120.0,
    stablecoins: Annotated[
        bool, Parameter(negative="", help="List USDT-USD, too, on the venues that have it: the rate that a composite needs.")
    ] = False,
    pairs: Annotated[int, Parameter(help="Pairs that each venue lists; 0: its usual ones.")] = 0,
    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1",
    port: Ports = (),
    fault: Faults = (),
    control: Control = None,
    write: Annotated[Path | None, Parameter(help="File to write the settings to, once all venues listen.")] = None,
    settings: SettingsFile = None,
) -> Exit:
    """Serve simulated venues that speak the protocols of the real ones, until Ctrl-C. Prints settings that point connectors at them.

    Use them as a settings file, or add them to yours: crosstape simulate --write sim.toml, then crosstape up --settings sim.toml.
    """
    _check(venue, rate, speed, pairs)
    control_host, control_port = _control(control)
    named = venue or (() if play else DEFAULT)
    spec = SimulatorSpec(
        venues=named,
        recordings=tuple(str(path) for path in play),
        speed=speed,
        repeat=repeat,
        seed=seed,
        rate=rate,
        past_hours=past_hours,
        listings={name: default_listings(name, stablecoins=stablecoins, pairs=pairs) for name in named} if stablecoins or pairs else {},
        host=host,
        ports=_ports(port),
        faults=_faults(fault),
        control_host=control_host,
        control_port=control_port,
    )
    begin_logging(load(settings), service="simulator")

    def announce(text: str) -> None:
        addresses = json.loads(text)
        snippet = as_settings(addresses["venues"], synthetic=spec.venues, stablecoins=stablecoins, pairs=pairs)
        if "control" in addresses:
            snippet = f"# faults and the true market: {addresses['control']}/\n\n{snippet}"
        sys.stdout.write(snippet)
        sys.stdout.flush()
        if write is not None:
            temporary = write.with_name(f"{write.name}.{os.getpid()}")
            try:
                temporary.write_text(snippet)
                temporary.replace(write)  # a program that waits for the file never sees a part of it
            except OSError as exc:
                raise SettingsError(f"--write {write}: cannot be written: {exc.strerror}") from exc

    return main(lambda: run(spec, announce))


def as_settings(venues: Mapping[str, Mapping[str, Any]], *, synthetic: Sequence[str], stablecoins: bool = False, pairs: int = 0) -> str:
    """Returns settings for the connectors as TOML: the addresses, and for synthetic venues the instruments that they list,
    and candles of a minute, or the shortest above that, where the venue has candles.

    The other venues that run by default are disabled.
    """
    tables = []
    for name in sorted({*venues, *default_venues()}):
        lines = [f"[venues.{name}]"]
        for key, value in venues.get(name, {"enabled": False}).items():
            lines.append(f"{key} = {_toml(value)}")
        if name in venues and name in synthetic:
            listings = default_listings(name, stablecoins=stablecoins, pairs=pairs)
            lines.append(f"instruments = {_toml([listing.instrument for listing in listings])}")
            lines.append(f"candles = {_toml(shortest_candles(name))}")
        tables.append("\n".join(lines) + "\n")
    return "\n".join(tables)


def shortest_candles(venue: str) -> list[str]:
    """Returns the timeframe of this venue's candles that is a minute, or the next longer one; none if it publishes no candles."""
    rules = PROTOCOLS[venue].candles
    return [] if rules is None else [name for name in TIMEFRAMES[TIMEFRAMES.index("1m") :] if name in rules.timeframes][:1]


def _toml(value: Any) -> str:
    if isinstance(value, Mapping) and len(set(value.values())) == 1:
        return _toml(next(iter(value.values())))  # all endpoints have the same address
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return msgspec.json.encode(value).decode()  # JSON and TOML write text, numbers, true and lists the same


def _check(venues: Sequence[str], rate: float, speed: float, pairs: int) -> None:
    for name in venues:
        if name not in VENUES:
            raise no_such_venue(name, VENUES, "--venue")
    if not rate > 0 or not speed >= 0:
        raise SettingsError("--rate must be above 0, --speed at least 0")
    if pairs < 0:
        raise SettingsError(f"--pairs {pairs}: must not be negative")


def _ports(given: Sequence[str]) -> dict[str, int]:
    found = {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in VENUES or not number.isdecimal() or not 0 < int(number) < 65536:
            raise SettingsError(f"--port {text}: expected VENUE=PORT, as kraken=8001")
        found[name] = int(number)
    return found


def rehearsal(fault: Sequence[str], control: str | None) -> list[str]:
    """Checks `--fault` and `--control` for a command that starts `simulate` as a child. Returns them as options for its command line.

    Raises `SettingsError` if one is wrong, or if the port of `--control` is in use.
    """
    _faults(fault)
    host, port = _control(control)
    check_free(host, port or 0, f"--control {control}")
    options = [option for text in fault for option in ("--fault", text)]
    return options if control is None else [*options, "--control", control]


def _faults(given: Sequence[str]) -> tuple[AnyFault, ...]:
    try:
        return tuple(parse.from_text(text) for text in given)
    except FaultError as exc:
        raise SettingsError(f"--fault {exc}") from exc


def _control(given: str | None) -> tuple[str, int | None]:
    host, _, number = (given or "").rpartition(":")
    if given is not None and not (number.isdecimal() and int(number) < 65536):
        raise SettingsError(f"--control {given}: expected [HOST:]PORT, as 8900")
    return host.strip("[]") or "127.0.0.1", None if given is None else int(number)
