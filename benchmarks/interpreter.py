"""Says which interpreter runs and on which machine: an interpreter that was built with a profile is 5 to 30 % faster than a plain one.

    python benchmarks/interpreter.py

PGO: the compiler saw a profile of a run (`./configure --enable-optimizations`). LTO: it optimised across files (`--with-lto`). The official
images, Fedora, conda, uv and python.org have both; pyenv has neither unless PYTHON_CONFIGURE_OPTS asks for them.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

DEBIAN = "--with-wheel-pkg-dir=/usr/share/python-wheels"
"""Debian and Ubuntu alone build with this option. What sysconfig says there is of their shared library. Their program is another build,
for which their rules call `make profile-opt` and set the flags of LTO themselves."""

DEBIAN_OPTIMISED = ("x86_64-linux-gnu", "aarch64-linux-gnu")
"""The processors, of those that their rules optimise for, that crosstape is tried on."""


def build(variables: Mapping[str, object]) -> str:
    """Returns `PGO+LTO`, `PGO`, `LTO`, `plain` or `unknown`, by the variables that sysconfig has of an interpreter."""
    if not (configured := variables.get("CONFIG_ARGS")):
        return "unknown"  # not built by configure: Windows
    options = set(shlex.split(str(configured)))
    flags = " ".join(str(variables.get(name) or "") for name in ("PY_CFLAGS", "PY_CFLAGS_NODIST", "PY_LDFLAGS", "PY_LDFLAGS_NODIST"))
    if variables.get("prefix") == "/usr" and any(option.startswith(DEBIAN) for option in options):
        return "PGO+LTO" if variables.get("MULTIARCH") in DEBIAN_OPTIMISED else "unknown"
    has_pgo = "--enable-optimizations" in options or "-fprofile-use" in flags or "-fprofile-instr-use" in flags
    has_lto = any(option.startswith("--with-lto") and option != "--with-lto=no" for option in options) or "-flto" in flags
    found = "+".join(name for name, has in (("PGO", has_pgo), ("LTO", has_lto)) if has)
    if not found and variables.get("prefix") == "/usr":
        return "unknown"  # a distribution may set the flags outside of configure, as Debian does
    return found or "plain"


def processor() -> str:
    """Returns the name of the processor, or an empty text where nothing says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def described() -> dict[str, object]:
    """Returns the interpreter's version and build, and the machine's processor and its number of cores."""
    variables = sysconfig.get_config_vars() | {"prefix": sys.base_prefix}
    return {
        "python": platform.python_version(),
        "build": build(variables),
        "processor": processor(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


if __name__ == "__main__":
    print(json.dumps(described()))
