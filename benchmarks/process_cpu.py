"""Says how much CPU time a server of several processes has used (Linux)."""

from __future__ import annotations

import os
from pathlib import Path


def cpu_s(postmaster: int) -> float:
    """Returns the CPU seconds that a PostgreSQL server has used, with its processes that have ended (Linux)."""
    tick = os.sysconf("SC_CLK_TCK")
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
        except OSError:
            continue  # it has ended
        if int(stat.parent.name) == postmaster:
            total += sum(map(int, fields[11:15]))
        elif int(fields[1]) == postmaster:
            total += sum(map(int, fields[11:13]))
    return total / tick
