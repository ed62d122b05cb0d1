"""Binance.US: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, GOLDEN, HOLD, ITSELF, SILENT, Evidence, Limit

LIMITS: Final = {"stream": Limit(1024, 5, shared=False, connects_per_s=300 / 300, lifetime_s=86_400)}

NOT_RECORDED: Final = "no recording: its frames are those of Binance by its documents"

EVIDENCE: Final = {
    "book": Evidence((), (GOLDEN, HOLD, BROKEN, SILENT), f"{NOT_RECORDED}; `delta` beyond the best 1,000 a side, until it changes"),
    "trade": Evidence((), (GOLDEN,), NOT_RECORDED),
    "quote": Evidence((), (GOLDEN,), f"{NOT_RECORDED}; {ITSELF}"),
    "ticker": Evidence((), (GOLDEN,), f"{NOT_RECORDED}; {ITSELF}"),
    "candle": Evidence((), (GOLDEN,), NOT_RECORDED),
}
