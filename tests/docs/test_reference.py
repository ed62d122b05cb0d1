"""The reference is complete, and is what the code says."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_type_hints

import msgspec
import pytest

from crosstape.settings import MaxLen, Section, Settings
from crosstape.settings.environment import table_of
from crosstape_cli.main import COMMANDS
from crosstape_connector.venues.registry import VENUES
from crosstape_gateway.access.sessions import COOKIE
from crosstape_schemas import KINDS, TIMEFRAMES, Leg, Vwap
from docs import conformance
from tests.docs.shown import slug

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def generator() -> ModuleType:
    """docs/generate.py, which is no package."""
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def paths(section: Section, path: str = "") -> Iterator[str]:
    """Yields the paths of all settings, as the reference names them."""
    hints = get_type_hints(type(section), include_extras=True)
    for name in section.__struct_fields__:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from paths(value, f"{path}{name}.")
        elif (inner := table_of(hints[name])) is not None:
            yield from paths(inner(), f"{path}{name}.{'VENUE' if name == 'venues' else 'NAME'}.")
        else:
            yield f"{path}{name}"


def test_the_generated_parts_are_those_of_the_code() -> None:
    """Run `make docs` after a change of a setting, an event, a metric or a command."""
    module = generator()

    for name, part in module.pages().items():
        page = (REFERENCE / name).read_text()
        assert module.replaced(page, part) == page, f"docs/reference/{name} is not up to date: make docs"


def test_the_evidence_for_each_venue_is_there() -> None:
    """Every kind of every venue has a test that shows how it is proven, and the test exists."""
    for venue in VENUES.values():
        for kind in conformance.kinds(venue):
            found = conformance.evidence(venue, kind)
            assert found.tests
            for name in found.tests:
                file, _, test = name.partition("::")
                assert re.search(rf"^(async )?def {test}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE), name
    recorded = "".join(path.read_text() for path in (ROOT / "tests" / "connector" / "venues").rglob("test_*.py"))
    shown = [name for venue in VENUES for one in conformance.evidence_of(venue).values() for name in one.recordings]
    assert [name for name in shown if f'"{name}' not in recorded] == []


def test_no_setting_is_missing() -> None:
    """By its complete path."""
    page = (REFERENCE / "settings.md").read_text()

    assert [path for path in paths(Settings()) if f"`{path}`" not in page] == []


def test_what_runs_without_settings_is_shown() -> None:
    """The instruments and candles of the built-in venues are not those of an empty table."""
    rows = [line for line in (REFERENCE / "settings.md").read_text().splitlines() if line.startswith("| `kraken` |")]

    assert len(rows) == 1
    assert "`BTC-USDT`, " in rows[0]
    assert rows[0].endswith(" | `1m` |")


def test_no_event_and_no_field_is_missing() -> None:
    """Structs within events are documented, too."""
    page = (REFERENCE / "events.md").read_text()

    assert [kind for kind in KINDS if f"## `{kind}`" not in page] == []
    structs: list[type[msgspec.Struct]] = [*KINDS.values(), Leg, Vwap]
    fields = {name for cls in structs for name in cls.__struct_fields__}
    assert [name for name in sorted(fields) if f"| `{name}` |" not in page] == []


def test_how_far_streams_reach_is_that_of_the_settings() -> None:
    """The page's table names each kind with the default of `bus.max_len`."""
    page = (REFERENCE / "events.md").read_text().partition("## How far back a stream reaches")[2].partition("\n## ")[0]
    rows = [line for line in page.splitlines() if line.startswith("| `")]

    lengths = {kind: row.split("|")[2].strip() for row in rows for kind in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert lengths == {kind: f"{getattr(MaxLen(), kind):,}" for kind in MaxLen.__struct_fields__}


def test_no_metric_is_missing() -> None:
    """Whatever name with our prefix stands in the source."""
    page = (REFERENCE / "metrics.md").read_text()
    sources = [path.read_text() for folder in ("shared", "services") for path in (ROOT / folder).rglob("*.py")]
    packages = {path.name for folder in ("schemas", "services") for path in (ROOT / folder).iterdir()}
    names = {name for source in sources for name in re.findall(r'"(crosstape_[a-z0-9_]+)"', source)} - packages - {COOKIE}

    assert len(names) > 10
    assert [name for name in sorted(names) if f"`{name}" not in page] == []


def test_no_command_is_missing() -> None:
    """The reference has each command with its options; each command has a module of its name."""
    page = (REFERENCE / "commands.md").read_text()

    assert [name for name in COMMANDS if f"## crosstape {name}\n" not in page] == []
    assert all((ROOT / "services" / "crosstape_cli" / f"{name.replace('-', '_')}.py").exists() for name in COMMANDS)


@pytest.mark.parametrize("page", sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]))
def test_links_lead_somewhere(page: str) -> None:
    """Within the repository; the web is not asked."""
    text = (ROOT / page).read_text()
    targets = [target for target in LINK.findall(text) if "://" not in target]

    assert [target for target in targets if not ((ROOT / page).parent / target).exists()] == []


@pytest.mark.parametrize("page", sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]))
def test_links_lead_to_headings_that_exist(page: str) -> None:
    """The heading is in this page or in another one of the repository."""
    found = re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", (ROOT / page).read_text())
    targets = [((ROOT / page).parent / target if target else ROOT / page, anchor) for target, anchor in found]

    assert [(path.name, anchor) for path, anchor in targets if path.suffix == ".md" and anchor not in headings(path)] == []


def headings(page: Path) -> set[str]:
    """The anchors of a page."""
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)}


def test_each_venue_has_its_row_of_candles() -> None:
    """With its timeframes and the reasons for those that cannot be had; or that it has no candles."""
    rows = [line for line in conformance.candles() if line.startswith("| `")]

    assert [row.split("`")[1] for row in rows] == list(VENUES)
    for row, venue in zip(rows, VENUES.values(), strict=True):
        assert row.count(" | ") == len(conformance.CANDLES) - 1
        if venue.candles is None:
            assert "no channel of candles" in row
            continue
        for timeframe in TIMEFRAMES:
            assert f"`{timeframe}`" in row
        assert all(why in row for why in venue.candles.refused.values())
