"""The calls that replace those of other libraries exist, with these arguments."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from crosstape import Tape
from crosstape.tape.selection import select

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "change-from-ccxt-or-cryptofeed.md").read_text()
CALLS = sorted(set(re.findall(r"`(?:await )?(tape\.\w+\([^`]*\))`", PAGE)))


@pytest.mark.parametrize("text", CALLS)
def test_a_call_exists(text: str) -> None:
    """With a kind of events that there is."""
    call = ast.parse(text.replace("…", '"BTC-USDT"'), mode="eval").body
    assert isinstance(call, ast.Call)
    assert isinstance(call.func, ast.Attribute)
    arguments = [None if isinstance(one, ast.Name) else ast.literal_eval(one) for one in call.args]
    options = {one.arg: ast.literal_eval(one.value) for one in call.keywords if one.arg}
    inspect.signature(getattr(Tape, call.func.attr)).bind(None, *arguments, **options)
    if call.func.attr in {"on", "last", "history"} and len(arguments) > 1:
        select(str(arguments[0]), (str(arguments[1]),), None)


def test_the_page_has_calls() -> None:
    """The test above looks at something."""
    assert len(CALLS) > 20
