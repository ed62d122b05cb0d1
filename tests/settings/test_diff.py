"""The difference between two settings."""

from __future__ import annotations

import msgspec

from crosstape.settings import BusSettings, Settings, VenueSettings
from crosstape.settings.diff import changes


def test_each_key_that_differs_is_named_by_its_path() -> None:
    """In the order of the settings; empty if nothing differs."""
    before = Settings()
    venues = {**before.venues, "kraken": msgspec.structs.replace(before.venues["kraken"], kinds=("trade",), stale_s=1.0)}
    after = msgspec.structs.replace(
        before, bus=BusSettings(prefix="other", max_len=msgspec.structs.replace(before.bus.max_len, trade=1)), venues=venues
    )

    assert changes(before, before) == []
    assert changes(before, after) == ["bus.prefix", "bus.max_len.trade", "venues.kraken.kinds", "venues.kraken.stale_s"]


def test_a_venue_that_only_one_has_is_one_change() -> None:
    """The keys of the venue are not listed."""
    before = Settings()
    after = msgspec.structs.replace(before, venues={**before.venues, "fake": VenueSettings(stale_s=1.0)})

    assert changes(before, after) == changes(after, before) == ["venues.fake"]
