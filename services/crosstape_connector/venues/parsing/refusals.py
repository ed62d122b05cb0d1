"""Reasons of refusals: the body of a venue's answer → one short line for a log, a status or an error. Pure."""

from __future__ import annotations

import html
import re
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

REASON: Final = 200
"""Characters of a reason at most."""
BODY: Final = 64 * 1024
"""Bytes of a body that are looked at."""

_WORDS: Final = ("msg", "message", "error_description", "error", "errors", "reason", "detail", "description", "title")
"""Where a reason is found in a JSON object: the first of these that holds text."""
_TITLE: Final = re.compile(r"<(title|h1)\b[^>]*>(.*?)</\1\s*>", re.IGNORECASE | re.DOTALL)
_UNSEEN: Final = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.IGNORECASE | re.DOTALL)
_SECRET: Final = re.compile(
    r"""(?ix) ( (?: \b | [-_] )
        (?: api [-_]? key | access [-_]? key | key | token | secret | signature | sig | pass (?: word | phrase )? | auth )
    ["']? \s* [=:] \s* ["']? | \b (?: bearer | basic ) \s+ ) [^\s"'&<>,;]+"""
)
_USER: Final = re.compile(r"//[^/\s@]+@")


def refusal(status: int, body: bytes, known: str | None = None) -> str:
    """Return a reason such as `HTTP 451:

    Service unavailable from a restricted location`. `known`: the reason, if the venue's module has read it.
    """
    said = line(known) if known else reason(body)
    return f"HTTP {status}: {said}" if said else f"HTTP {status}"


def reason(body: bytes) -> str:
    """Return the venue's reason: the message of a JSON object, the title of a page, or the text; empty if there is none."""
    head = body[:BODY]
    if head.lstrip()[:1] in (b"{", b"[", b'"') and (said := _of_json(head)):
        return line(said)
    text = head.decode(errors="replace")
    if "<" in text:
        title = _TITLE.search(text)
        text = html.unescape(_UNSEEN.sub(" ", text if title is None else title[2]))
    return line(text)


def line(text: str) -> str:
    """Return one printable line, cut to `REASON` characters; parts that look like a secret are left out."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 20 * REASON])
    words = _USER.sub("//", _SECRET.sub(r"\1…", " ".join(printable.split())))
    return words if len(words) <= REASON else f"{words[: REASON - 1]}…"


def public(url: str) -> str:
    """Return an address without user, password and query, which may contain a token."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "an address that cannot be read"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}{parts.path}"


def _of_json(body: bytes) -> str:
    try:
        return _words(msgspec.json.decode(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


def _words(value: Any, depth: int = 4) -> str:
    match value:
        case str():
            return value
        case list() if depth:
            return ", ".join(filter(None, (_words(part, depth - 1) for part in value[:10])))
        case dict() if depth:
            said = next(filter(None, (_words(value.get(word), depth - 1) for word in _WORDS)), "")
            code = value.get("code")
            return f"{code} {said}".rstrip() if isinstance(code, int | str) and not isinstance(code, bool) else said
        case _:
            return ""
