"""A benchmark says how its interpreter was built."""

from __future__ import annotations

import pytest
from interpreter import build, described

OFFICIAL = "'--build=x86_64-linux-gnu' '--enable-loadable-sqlite-extensions' '--enable-optimizations' '--enable-shared' '--with-lto'"
DEBIAN = "'--enable-shared' '--prefix=/usr' '--without-ensurepip' '--with-wheel-pkg-dir=/usr/share/python-wheels/'"
PYENV = "'--prefix=/home/me/.pyenv/versions/3.11.7' '--enable-shared' 'LDFLAGS=-L/home/me/lib'"


@pytest.mark.parametrize(
    ("expected", "variables"),
    [
        ("PGO+LTO", {"CONFIG_ARGS": OFFICIAL, "prefix": "/usr/local"}),
        ("PGO", {"CONFIG_ARGS": f"{PYENV} '--enable-optimizations' '--with-lto=no'", "prefix": "/home/me"}),
        ("PGO", {"CONFIG_ARGS": PYENV, "PY_CFLAGS_NODIST": "-std=c11 -fprofile-use -fprofile-correction", "prefix": "/home/me"}),
        ("LTO", {"CONFIG_ARGS": f"{PYENV} '--with-lto=thin'", "prefix": "/home/me"}),
        ("plain", {"CONFIG_ARGS": PYENV, "PGO_PROF_USE_FLAG": "-fprofile-use", "prefix": "/home/me"}),
        ("PGO+LTO", {"CONFIG_ARGS": DEBIAN, "MULTIARCH": "x86_64-linux-gnu", "prefix": "/usr"}),
        ("unknown", {"CONFIG_ARGS": DEBIAN, "MULTIARCH": "hppa-linux-gnu", "prefix": "/usr"}),
        ("unknown", {"CONFIG_ARGS": "'--prefix=/usr'", "prefix": "/usr"}),
        ("unknown", {}),
    ],
)
def test_a_build_is_known_by_what_configured_it(expected: str, variables: dict[str, object]) -> None:
    """Official images and pyenv say it in their options. Debian's program is another build than the one that its variables describe."""
    assert build(variables) == expected


def test_this_interpreter_is_described() -> None:
    """Whatever runs the tests has a version, and a build or an honest `unknown`."""
    found = described()

    assert str(found["python"]).startswith("3.")
    assert found["build"] in {"PGO+LTO", "PGO", "LTO", "plain", "unknown"}
    assert found["cpus"]
