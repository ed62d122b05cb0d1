"""The paths of code that the pages name exist: a module that is renamed or moved is found here."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.docs.shown import ROOT

ROOTS: Final = (
    "",
    "services",
    "services/crosstape_connector",
    "services/crosstape_aggregator",
    "services/crosstape_gateway",
    "services/crosstape_recorder",
    "shared",
    "shared/crosstape",
)
"""Paths on the pages begin at one of these."""

PAGES: Final = [*sorted(ROOT.glob("docs/tutorial/*.md")), *sorted(ROOT.glob("docs/explanation/*.md")), ROOT / "CONTRIBUTING.md"]
PATH: Final = re.compile(r"`([\w./-]+/[\w.-]+\.(?:py|sh|toml|yml))`")
VENUE: Final = "kraken"
"""Stands for `VENUE` in a path."""


@pytest.mark.parametrize("page", [page.relative_to(ROOT).as_posix() for page in PAGES])
def test_the_code_that_a_page_names_is_there(page: str) -> None:
    """Below one of the folders that paths begin at."""
    named = {path.replace("VENUE", VENUE) for path in PATH.findall((ROOT / page).read_text())}

    assert sorted(path for path in named if not any((ROOT / root / path).exists() for root in ROOTS)) == []


def test_the_pages_name_code() -> None:
    """A page that writes paths in another way is not passed over."""
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text()

    assert len(PATH.findall(page)) >= 10
