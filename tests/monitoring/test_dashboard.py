"""The dashboard is one that Grafana understands, and says what it shows."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from crosstape_schemas import Exclusion
from docs import dashboard
from tests.monitoring.prometheus import MONITORING, PROMETHEUS
from tests.monitoring.rules import DASHBOARD, panels

GRAFANA = MONITORING / "grafana"
RAW = json.loads(DASHBOARD.read_text())


def test_it_is_up_to_date() -> None:
    """Run `make docs` after a change of docs/panels.py."""
    assert DASHBOARD.read_text() == dashboard.text()


def test_it_is_of_grafanas_types() -> None:
    """Reading it into Grafana's types and writing it again loses and changes nothing."""
    register_default_plugins()
    once = json.loads(json.dumps(Dashboard.from_json(RAW), cls=JSONEncoder))
    twice = json.loads(json.dumps(Dashboard.from_json(once), cls=JSONEncoder))

    assert lost(RAW, once) == []
    assert twice == once


def lost(before: Any, after: Any, path: str = "") -> list[str]:
    """Returns the paths at which `after` lacks a value of `before`; `after` may have defaults besides."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [where for name in before for where in lost(before[name], after.get(name), f"{path}.{name}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [where for number, pair in enumerate(zip(before, after, strict=True)) for where in lost(*pair, f"{path}[{number}]")]
    return [] if before == after else [path]


def test_panels_are_told_apart() -> None:
    """Each has an id and a title of its own, and a place of its own within 24 columns."""
    everything = RAW["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({panel["title"] for panel in everything}) == len(everything)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in everything)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


def test_panels_explain_themselves() -> None:
    """Each panel has a description, a unit and the provisioned source; each line has a legend."""
    (source,) = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"]
    for panel in panels():
        title = panel["title"]
        assert panel["description"].endswith("."), title
        assert panel["fieldConfig"]["defaults"]["unit"], title
        assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}, title
        assert panel["type"] == "table" or all(target["legendFormat"] for target in panel["targets"]), title
    assert all(variable["datasource"]["uid"] == source["uid"] for variable in RAW["templating"]["list"])


def test_legends_are_of_labels_that_are_left() -> None:
    """A label that the query sums over cannot be in its legend."""
    for panel in panels():
        for target in panel["targets"]:
            labels = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            kept = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", target["expr"]))))
            assert labels <= kept, panel["title"]


def test_rates_look_back_on_four_scrapes() -> None:
    """Grafana must know how often is scraped, or `$__rate_interval` finds too few samples."""
    (source,) = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"]
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())

    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]


def test_each_reason_has_a_word() -> None:
    """The reasons why a leg does not count, in the contract's order."""
    (legs,) = [panel for panel in panels() if panel["title"] == "Legs"]
    (words,) = legs["fieldConfig"]["defaults"]["mappings"]

    assert {int(code): word["text"] for code, word in words["options"].items()} == dict(enumerate(["counts", *Exclusion]))


def test_provisioning_finds_it() -> None:
    """Dashboards lie where the provider looks: compose mounts the folder there."""
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "crosstape.yml").read_text())["providers"]

    assert provider["options"]["path"] == f"/var/lib/grafana/{DASHBOARD.parent.name}"
