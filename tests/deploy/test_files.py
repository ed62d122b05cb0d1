"""Checks the files that are deployed, without a container engine, and with Compose's own check where it is installed."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from crosstape.settings.load import load
from crosstape.settings.model import default_venues
from crosstape.settings.secrets import secret_in
from crosstape_connector.venues.ccxt.exchanges import known
from tests.deploy.composed import implementations
from tests.deploy.engine import ROOT, done, run

DOCKER = ROOT / "docker"
VENUES = default_venues()
"""The venues that are deployed; users add others."""
COMPOSE = (ROOT / "compose.yaml").read_text()
PROFILES = ("live", "gateway", "recorder", "ccxt", "demo", "monitoring", "scale", "cluster")
VARIABLE = re.compile(r"\$\{([A-Z_]+):-")
OVERRIDES = re.findall(r"```yaml\n(services:.*?)```", (ROOT / "docs" / "how-to" / "deploy.md").read_text(), re.DOTALL)
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)


def service_of(venue: str) -> str:
    """Returns the name of a venue's connector on the network: names of hosts have no underscore."""
    return f"connector-{venue.replace('_', '-')}"


def services() -> dict[str, dict[str, Any]]:
    """Returns name → service, with the shared parts merged in."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
    return found


def lock(path: str) -> dict[str, str]:
    """Package → version and hashes, as they stand there."""
    text = (ROOT / path).read_text()
    starts = [match.start() for match in PIN.finditer(text)]
    entries = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    return {entry.partition("==")[0]: re.sub(r" (;[^\\]*)?(?=\\)", "", entry) for entry in entries}


@pytest.mark.parametrize("name", services())
def test_no_container_may_do_more_than_it_must(name: str) -> None:
    """No capability, no new privilege, no writing but where listed; memory, processes and logs are bounded, and it is restarted."""
    service = services()[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["pids_limit"]
    assert service["mem_limit"]
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert service["restart"] == ("no" if name == "cluster-maker" else "unless-stopped")
    assert not {"privileged", "network_mode", "pid", "cap_add", "devices"} & service.keys()
    assert set(service["profiles"]) <= set(PROFILES)


@pytest.mark.parametrize("name", services())
def test_ports_are_published_on_the_loopback_address_only(name: str) -> None:
    """And the live tape's Redis on none."""
    ports = services()[name].get("ports", [])

    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not ports or name in {"demo-redis", "gateway", "demo-gateway", "prometheus", "grafana"}


def test_a_gateway_that_others_may_reach_has_tokens() -> None:
    """The live one by its secret, without which it does not start; the port of the demo's is for the host alone."""
    gateway, demo = services()["gateway"], services()["demo-gateway"]

    assert gateway["profiles"] == ["gateway"]
    assert gateway["environment"]["CROSSTAPE_GATEWAY__TOKENS_FILE"] == "/run/secrets/gateway_tokens"
    assert "gateway_tokens" in gateway["secrets"]
    assert "CROSSTAPE_GATEWAY__OPEN_TO" not in gateway["environment"]
    assert (DOCKER / "no-tokens").read_text() == ""
    assert load(DOCKER / "crosstape.toml", {}).gateway.open_to == "loopback"
    assert load(DOCKER / "demo.toml", {}).gateway.open_to == "anywhere"
    assert [port.partition(":")[0] for service in (gateway, demo) for port in service["ports"]] == ["127.0.0.1"] * 2
    assert [service["networks"] for service in (gateway, demo)] == [["bus", "host"]] * 2


def test_only_connectors_reach_the_world() -> None:
    """The bus's network has no way out, and nothing but the connectors of live venues is on the one that has."""
    assert yaml.safe_load(COMPOSE)["networks"]["bus"]["internal"] is True
    connectors = {*(f"{service_of(venue)}{line}" for venue in VENUES for line in ("", "-2")), "connector-ccxt"}
    assert {name for name, service in services().items() if "egress" in service["networks"]} == connectors


@pytest.mark.parametrize("venue", VENUES)
def test_the_second_line_of_a_connector_differs_in_its_name_alone(venue: str) -> None:
    """And in its profile: whoever adds it later has nothing to change about the first."""
    first, second = services()[service_of(venue)], services()[f"{service_of(venue)}-2"]

    assert (first.pop("profiles"), second.pop("profiles")) == (["live"], ["scale"])
    lines = [service["environment"].pop("CROSSTAPE_CONNECTOR__REPLICA") for service in (first, second)]
    assert lines == ["a", "b"]
    assert first == second


def test_the_demo_shares_nothing_with_the_live_tape() -> None:
    """Neither server, state nor settings: no simulated quote can get there."""
    demo = {name: service for name, service in services().items() if service["profiles"] == ["demo"]}
    volumes = {str(volume).partition(":")[0] for service in demo.values() for volume in service.get("volumes", [])}

    assert {f"demo-{service_of(venue)}" for venue in VENUES} < demo.keys()
    assert {name for service in demo.values() for name in service.get("depends_on", {})} == {"demo-redis", "simulator"}
    assert not {"redis", "state", "history"} & volumes
    stores = [service["environment"]["CROSSTAPE_RECORDER__STORE"] for service in demo.values() if "environment" in service]
    assert set(stores) == {""}
    urls = [service["environment"]["CROSSTAPE_BUS__URL"] for service in demo.values() if "environment" in service]
    assert set(urls) == {"${DEMO_BUS_URL:-redis://demo-redis:6379}"}


def test_the_example_of_the_environment_names_what_compose_reads() -> None:
    """Each variable once, and none that nobody reads."""
    example = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))

    passed_on = {key for service in services().values() for key, value in service.get("environment", {}).items() if value is None}
    assert passed_on == {"HTTPS_PROXY", "NO_PROXY"}
    assert example == {*VARIABLE.findall(COMPOSE), *passed_on, "COMPOSE_PROFILES"}


@pytest.mark.parametrize("name", ["crosstape.toml", "demo.toml"])
def test_the_settings_are_valid(name: str) -> None:
    """They load as in the services; each venue has instruments."""
    settings = load(DOCKER / name, {})

    assert set(settings.venues) == set(VENUES)
    assert all(venue.instruments for venue in settings.venues.values())


@pytest.mark.parametrize(
    "content", [b"hunter2", b"hunter2\n", b"hunter2\r\n", b"\xef\xbb\xbfhunter2\r\n", b" hunter2 \n", b"", b"p\"a\\s$w'\xc3\xb6rd\n"]
)
def test_redis_and_the_services_read_the_same_password(content: bytes, tmp_path: Path) -> None:
    """However an editor saved it: else the one asks for another than the others have."""
    file = tmp_path / "bus_password"
    file.write_bytes(content)

    printed = done("sh", "docker/bus-password.sh", str(file))

    assert printed.removesuffix("\n") == secret_in(file)
    for script in ("serve-redis.sh", "redis-health.sh", "make-cluster.sh"):
        assert "/etc/crosstape/bus-password.sh" in (DOCKER / script).read_text()


@pytest.mark.parametrize(
    ("content", "asked_for"),
    [
        (b'\xef\xbb\xbfp"a\\s\r\n', ['requirepass "p\\"a\\\\s"', 'masterauth "p\\"a\\\\s"']),
        (b"", []),
        (b"\xef\xbb\xbf\r\n", []),
        (None, None),
    ],
)
def test_redis_is_started_with_the_password_or_not_at_all(content: bytes | None, asked_for: list[str] | None, tmp_path: Path) -> None:
    """The password comes by standard input; if the secret is missing, the server does not start without a password."""
    file = tmp_path / "bus_password"
    if content is not None:
        file.write_bytes(content)
    for name in ("serve-redis.sh", "bus-password.sh"):
        text = (DOCKER / name).read_text().replace("/etc/crosstape", str(tmp_path)).replace("/run/secrets/bus_password", str(file))
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "server").write_text("#!/bin/sh\ncat\n")
    (tmp_path / "server").chmod(0o755)

    ended = run(str(tmp_path / "serve-redis.sh"), str(tmp_path / "server"), "--maxmemory", "1gb")

    assert (ended.returncode == 0) is (asked_for is not None)
    if asked_for is not None:
        assert [line for line in ended.stdout.splitlines() if "requirepass" in line or "masterauth" in line] == asked_for


def test_whoever_needs_the_password_has_its_reader() -> None:
    """Mounted beside the script that calls it."""
    for name, service in services().items():
        volumes = [str(volume) for volume in service.get("volumes", [])]
        if any("redis-health.sh" in volume or "make-cluster.sh" in volume for volume in volumes):
            assert any("bus-password.sh" in volume for volume in volumes), name


@pytest.mark.parametrize("name", ["run.lock", "build.lock"])
def test_the_image_has_the_versions_that_are_tested(name: str) -> None:
    """The image's lock files are parts of the developers' lock file, with the same hashes."""
    part, whole = lock(f"docker/{name}"), lock("requirements.lock")

    assert part
    assert {package: entry for package, entry in part.items() if whole.get(package) != entry} == {}
    assert not {"pytest", "mypy", "ruff"} & part.keys()


def test_the_image_of_the_bridge_has_the_library_that_is_tested() -> None:
    """The version of the extra, of both locks and of the shipped list is one."""
    tested = lock("tests/bridge/ccxt.lock")
    shipped = lock("docker/ccxt.lock")
    (pin,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["ccxt"]

    assert {package: entry for package, entry in shipped.items() if tested.get(package) != entry} == {}
    assert pin == f"ccxt=={known().version}"
    assert shipped["ccxt"].startswith(f"{pin}\\")
    assert not {"pytest", "hatchling"} & shipped.keys()


def test_the_bridge_has_an_image_of_its_own() -> None:
    """And differs from other connectors in nothing else."""
    bridge, other = services()["connector-ccxt"], services()["connector-kraken"]

    assert bridge["build"]["args"] == {"LOCK": "ccxt.lock"}
    assert bridge["image"] != other["image"]
    differing = {"build", "command", "image", "profiles"}
    assert {key: value for key, value in bridge.items() if key not in differing} == {
        key: value for key, value in other.items() if key not in differing
    }


@pytest.mark.skipif(not implementations(), reason="no docker-compose is installed")
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("program", implementations(), ids=lambda program: str(Path(program).parent))
def test_compose_understands_each_profile(program: str, profile: str) -> None:
    """Without a complaint, and with the services of that profile."""
    printed = done(program, "--profile", profile, "config")

    expected = {name for name, service in services().items() if profile in service["profiles"]}
    assert expected <= set(yaml.safe_load(printed)["services"])


@pytest.mark.skipif(not implementations(), reason="no docker-compose is installed")
@pytest.mark.parametrize("program", implementations(), ids=lambda program: str(Path(program).parent))
@pytest.mark.parametrize("number", range(len(OVERRIDES)))
def test_compose_understands_what_users_are_told_to_add(program: str, number: int, tmp_path: Path) -> None:
    """Each `compose.override.yaml` of the how-to."""
    override = tmp_path / "override.yaml"
    override.write_text(OVERRIDES[number])
    printed = done(program, "-f", "compose.yaml", "-f", str(override), "--profile", "live", "--profile", "recorder", "config")

    assert yaml.safe_load(OVERRIDES[number])["services"].keys() <= yaml.safe_load(printed)["services"].keys()


@pytest.mark.skipif(shutil.which(str(ROOT / ".venv" / "bin" / "hadolint")) is None, reason="hadolint has no program for this machine")
def test_the_dockerfile_is_well_made() -> None:
    """All of hadolint's rules pass."""
    assert done(str(ROOT / ".venv" / "bin" / "hadolint"), "docker/Dockerfile") == ""
