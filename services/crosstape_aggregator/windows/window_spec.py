"""Parses the names of windows in the settings: `30s`, `5m`, `4h`, and `1d` for the UTC day."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from crosstape.errors import SettingsError

DAY_S: Final = 86_400
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600}
_FORM: Final = re.compile(r"([1-9][0-9]{0,5})([smh])")


class WindowSpec(msgspec.Struct, frozen=True):
    """One window. `length_s` is None for the UTC day, which does not roll but starts again at midnight."""

    name: str
    length_s: int | None

    def start(self, second: int) -> int:
        """Return the first second of the window during `second` (both since the epoch): `length_s` seconds earlier, or midnight (UTC)."""
        return second - second % DAY_S if self.length_s is None else second - self.length_s


def parse(name: str) -> WindowSpec:
    """Parse one name. Raises `SettingsError` on another form, and on a rolling window of more than 24 hours."""
    if name == "1d":
        return WindowSpec(name, None)
    form = _FORM.fullmatch(name)
    length_s = int(form[1]) * _UNITS[form[2]] if form else 0
    if not 0 < length_s <= DAY_S:
        raise SettingsError(f'aggregator.windows: {name!r} is not a window: "30s", "5m", "4h" (24 hours at most), or "1d", the UTC day')
    return WindowSpec(name, length_s)


def parse_all(names: Iterable[str]) -> tuple[WindowSpec, ...]:
    """Parse these names in order, each once. Raises `SettingsError` as `parse` does."""
    return tuple(parse(name) for name in dict.fromkeys(names))


def earliest(windows: Iterable[WindowSpec], second: int) -> int:
    """Return the first second of the longest window during `second`; `second` itself if there are no windows."""
    return min((spec.start(second) for spec in windows), default=second)
