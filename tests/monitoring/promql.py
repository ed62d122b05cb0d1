"""Finds the metrics and labels in a PromQL expression. Not a parser: it knows words, braces and lists of labels, which is enough here.

promtool checks the syntax. This finds what promtool cannot know: whether a metric exists, and whether it has a label.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

WORDS: Final = frozenset(
    {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset", "inf", "nan"}
)
LISTS: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
"""Words that are followed by a list of labels in parentheses."""

TOKEN: Final = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    |(?P<range>\[[^\]]*\])
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<number>[0-9][0-9a-zA-Z.+-]*)
    |(?P<mark>=~|!~|!=|==|<=|>=|[-+*/%^(){},=<>@])
    |(?P<space>\s+)""",
    re.VERBOSE,
)


class Names(NamedTuple):
    """The metrics and labels in one expression."""

    metrics: dict[str, set[str]]
    """Metric → labels that it is selected by."""
    lists: set[str]
    """Labels that results are grouped or matched by."""


def names(expr: str) -> Names:
    """Raises `ValueError` for what is no PromQL of the kind that we write."""
    metrics: dict[str, set[str]] = {}
    lists: set[str] = set()
    tokens = list(_tokens(expr))
    selected: set[str] = set()
    at = 0
    while at < len(tokens):
        token = tokens[at]
        following = tokens[at + 1] if at + 1 < len(tokens) else ""
        if token in LISTS and following == "(":
            end = tokens.index(")", at)
            lists.update(word for word in tokens[at + 2 : end] if word != ",")
            at = end
        elif token == "{":
            end = tokens.index("}", at)
            selected.update(
                word for word, mark in zip(tokens[at:end], tokens[at + 1 : end], strict=False) if mark in {"=", "!=", "=~", "!~"}
            )
            at = end
        elif _is_name(token) and following not in {"(", "by", "without"} and token.lower() not in WORDS:
            selected = metrics.setdefault(token, set())
        at += 1
    return Names(metrics, lists)


def _is_name(token: str) -> bool:
    return token[0].isalpha() or token[0] in "_:"


def _tokens(expr: str) -> Iterator[str]:
    at = 0
    while at < len(expr):
        found = TOKEN.match(expr, at)
        if found is None:
            raise ValueError(f"not understood: {expr[at : at + 20]!r}")
        at = found.end()
        if found.lastgroup in {"name", "mark"}:
            yield found.group()
        elif found.lastgroup == "string":
            yield '"'
