"""The claim against another library is a ratio of pairs of runs."""

from __future__ import annotations

import peer


def test_above_one_crosstape_does_better() -> None:
    """CPU a frame is theirs to ours, frames a second are ours to theirs, and the pairs' extremes are shown."""
    ours = [{"cpu_us_per_frame": 4.0, "server_cpu_us_per_frame": 2.0, "frames_per_s": 200_000.0}] * 3
    theirs = [
        {"cpu_us_per_frame": cpu, "server_cpu_us_per_frame": 1.0, "frames_per_s": rate}
        for cpu, rate in ((20.0, 50_000.0), (24.0, 40_000.0), (40.0, 20_000.0))
    ]

    assert peer.ratios(list(zip(ours, theirs, strict=True))) == {
        "cpu": {"median": 6.0, "min": 5.0, "max": 10.0},
        "server_cpu": {"median": 0.5, "min": 0.5, "max": 0.5},
        "frames_per_s": {"median": 5.0, "min": 4.0, "max": 10.0},
    }
