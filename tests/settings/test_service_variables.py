"""Variables that a container platform adds under names like ours are left alone; mistakes in settings are not."""

from __future__ import annotations

import pytest

from crosstape.errors import SettingsError
from crosstape.settings import Settings
from crosstape.settings.environment import ignored_variables
from crosstape.settings.load import load
from crosstape.settings.service_variables import is_service_variable


def kubernetes(
    service: str, *, host: str = "10.96.7.12", port: int = 9100, protocol: str = "TCP", port_name: str = "metrics"
) -> dict[str, str]:
    """Returns the variables that a pod sees for a service with one named port, as Kubernetes documents them."""
    name = service.upper().replace("-", "_")
    shown = f"[{host}]" if ":" in host else host
    one = f"{name}_PORT_{port}_{protocol}"
    return {
        f"{name}_SERVICE_HOST": host,
        f"{name}_SERVICE_PORT": str(port),
        f"{name}_SERVICE_PORT_{port_name.upper().replace('-', '_')}": str(port),
        f"{name}_PORT": f"{protocol.lower()}://{shown}:{port}",
        one: f"{protocol.lower()}://{shown}:{port}",
        f"{one}_PROTO": protocol.lower(),
        f"{one}_PORT": str(port),
        f"{one}_ADDR": host,
    }


def docker(alias: str) -> dict[str, str]:
    """Returns the variables that a container sees for a container to which it is linked."""
    name = alias.upper().replace("-", "_")
    return {
        f"{name}_NAME": f"/crosstape-reader/{alias}",
        f"{name}_PORT": "tcp://172.17.0.5:6379",
        f"{name}_PORT_6379_TCP": "tcp://172.17.0.5:6379",
        f"{name}_PORT_6379_TCP_PROTO": "tcp",
        f"{name}_PORT_6379_TCP_PORT": "6379",
        f"{name}_PORT_6379_TCP_ADDR": "172.17.0.5",
        f"{name}_PORT_7000_TCP_START": "tcp://172.17.0.5:7000",
        f"{name}_PORT_7000_TCP_PORT_END": "7005",
        f"{name}_ENV_PATH": "/usr/bin",
        f"{name}_ENV_CROSSTAPE_BUS__URL": "redis://elsewhere",
    }


SERVICES = [
    "crosstape",
    "crosstape-aggregator",
    "crosstape-connector-binance",
    "crosstape-connector--kraken",  # two dashes become the two underscores of a setting
    "crosstape-bus",
    "crosstape-bus--redis",
    "crosstape-run",
    "crosstape-telemetry",
    "crosstape-venues",
    "crosstape-settings",
]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "options",
    [{}, {"host": "fd00:10:96::7", "port": 6379, "port_name": "redis"}, {"protocol": "UDP", "port_name": "a--b"}, {"protocol": "SCTP"}],
)
def test_the_variables_of_a_service_are_ignored(service: str, options: dict[str, str]) -> None:
    """The services have names like our sections, and any ports; the log names all the variables."""
    variables = kubernetes(service, **options)  # type: ignore[arg-type]

    assert load(None, variables) == Settings()
    assert ignored_variables({**variables, "HOME": "/", "KUBERNETES_SERVICE_HOST": "10.96.0.1"}) == sorted(variables)


@pytest.mark.parametrize("alias", ["crosstape", "crosstape-aggregator", "crosstape-bus"])
def test_the_variables_of_a_docker_link_are_ignored(alias: str) -> None:
    """The environment of the other container is ignored, too, whatever it contains."""
    variables = docker(alias)

    assert load(None, variables) == Settings()
    assert ignored_variables(variables) == sorted(variables)


def test_settings_are_read_beside_them() -> None:
    """Also one whose name ends as theirs do."""
    variables = kubernetes("crosstape-telemetry") | kubernetes("crosstape-bus") | {"CROSSTAPE_TELEMETRY__HTTP_PORT": "9100"}

    assert load(None, variables | {"CROSSTAPE_BUS__PREFIX": "mine"}).telemetry.http_port == 9100
    assert load(None, variables | {"CROSSTAPE_BUS__PREFIX": "mine"}).bus.prefix == "mine"


def test_a_setting_is_read_though_its_value_looks_like_a_services() -> None:
    """The value is then an error: a person who names a service `crosstape-telemetry--http` must notice."""
    with pytest.raises(SettingsError, match=r"telemetry.http_port = .*CROSSTAPE_TELEMETRY__HTTP_PORT"):
        load(None, {"CROSSTAPE_TELEMETRY__HTTP_PORT": "tcp://10.96.7.12:9100"})
    assert load(None, {"CROSSTAPE_VENUES__X_NAME__REST_URL": "/a/b"}).venues["x_name"].rest_url == "/a/b"


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("CROSSTAPE_BUS__ULR", "redis://x", "did you mean bus.url?"),
        ("CROSSTAPE_TELEMETRY_HTTP_PORT", "9100", "CROSSTAPE_TELEMETRY__HTTP_PORT"),
        ("CROSSTAPE_TELEMETRY__PORT", "9100", "no such setting"),
        ("CROSSTAPE_TELEMETRY__HTTP_PROT", "9100", "did you mean telemetry.http_port?"),
        ("CROSSTAPE_BUS_NAME", "tape", "CROSSTAPE_BUS__NAME"),
        ("CROSSTAPE_BUS_PORT", "6379", "CROSSTAPE_BUS__PORT"),
        ("CROSSTAPE_BUS_SERVICE_HOST", "redis.example", "CROSSTAPE_BUS__SERVICE_HOST"),
        ("CROSSTAPE_BUS_ENV_URL", "redis://x", "CROSSTAPE_BUS__ENV_URL"),
        ("CROSSTAPE_BUS_PORT_6379_TCP_ADDR", "redis", "CROSSTAPE_BUS__PORT_6379_TCP_ADDR"),
    ],
)
def test_a_mistake_that_looks_like_them_still_stops(name: str, value: str, meant: str) -> None:
    """Their names alone do not count: the platform's values have a form."""
    with pytest.raises(SettingsError) as caught:
        load(None, kubernetes("crosstape-aggregator") | {name: value})

    assert name in str(caught.value)
    assert meant in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not is_service_variable(name, {name: value})
