"""Which cases of a test run each time: those that stand for the others, whose run would show the same machinery again."""

from __future__ import annotations

from collections.abc import Iterable

import pytest


def rare_but(cases: Iterable[tuple[object, ...]], *often: tuple[object, ...]) -> list[object]:
    """Returns the cases for `parametrize`. All but those named in `often` are `rare`: run by `make test-rare`, and not by .ci/run."""
    found = list(cases)
    assert not [case for case in often if case not in found], "what stands for others is one of them"
    return [pytest.param(*case, marks=() if case in often else pytest.mark.rare) for case in found]
