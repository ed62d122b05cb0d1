"""The venue's name."""

from __future__ import annotations

from typing import Final

ID: Final = "kraken"
