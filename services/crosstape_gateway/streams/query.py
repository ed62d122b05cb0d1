"""Reads the query of a streaming request. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from crosstape.settings import GatewaySettings
from crosstape_gateway.errors import RequestError
from crosstape_gateway.topics import Topic

MAX_GATHER_MS: Final = 5_000
_ID: Final = re.compile(r"[0-9]{1,18}(-[0-9]{1,18})?")


def check_names(query: Mapping[str, str], known: Collection[str]) -> None:
    """Raise `RequestError` for a parameter that there is not (it names the nearest one that there is), or that is given twice.

    `topics` may be: they add up.
    """
    found: set[str] = set()
    for name in [name for name, _ in query.items()]:  # keys come once each, however often they are given
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"parameters are {', '.join(sorted(known))}"
            raise RequestError(400, "unknown_parameter", f"{name[:40]!r}: there is no such parameter; {hint}")
        if name in found and name != "topics":
            raise RequestError(400, "repeated_parameter", f"{name}: given more than once")
        found.add(name)


def topics_of(texts: Iterable[str]) -> frozenset[Topic]:
    """Returns the topics of these texts, each of which may be several with commas. Raises `RequestError`."""
    found = frozenset(Topic.parse(name) for text in texts for part in text.split(",") if (name := part.strip()))
    if not found:
        raise RequestError(400, "no_topics", "topics: name one at least, such as topics=cbbo:BTC-USDT")
    return found


def names_of(topics: Iterable[Topic]) -> tuple[str, ...]:
    """Returns topics as text, each once, sorted."""
    return tuple(sorted({str(topic) for topic in topics}))


def respelled(resolved: Mapping[Topic, Topic]) -> dict[str, str]:
    """Returns the topics that are followed under another name than they were asked for by: from that name to this."""
    return {str(asked): str(followed) for asked, followed in sorted(resolved.items()) if asked != followed}


def gather_s_of(query: Mapping[str, str], settings: GatewaySettings) -> float:
    """Returns for how long events are gathered."""
    text = query.get("gather_ms")
    if text is None:
        return settings.gather_s
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) > MAX_GATHER_MS:
        raise RequestError(400, "bad_parameter", f"gather_ms={text[:40]!r}: expected milliseconds, 0 to {MAX_GATHER_MS}")
    return int(text) / 1000


def flag_of(query: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Returns a parameter that is 0 or 1."""
    match query.get(name):
        case None:
            return default
        case "0":
            return False
        case "1":
            return True
        case text:
            raise RequestError(400, "bad_parameter", f"{name}={text[:40]!r}: expected 0 or 1")


def quotes_integers(query: Mapping[str, str]) -> bool:
    """Returns whether integers of times and epochs are wanted as strings: `ints=string`."""
    match query.get("ints"):
        case None | "number":
            return False
        case "string":
            return True
        case text:
            raise RequestError(400, "bad_parameter", f"ints={text[:40]!r}: expected number or string")


def id_of(text: object) -> str:
    """Returns the id of an entry. Raises `RequestError` for a text that is none."""
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise RequestError(400, "bad_id", f"after={str(text)[:40]!r}: expected an id of the stream, such as 1526919030474-55")
    return text


def resume_id(query: Mapping[str, str], last_event_id: str) -> str:
    """Returns the id after which a client wants to resume; empty: none. What the browser sends by itself is newer than the query.

    An id that EventSource sends and that is none of ours is ignored: any error would end it for good.
    """
    if _ID.fullmatch(last_event_id):
        return last_event_id
    return id_of(query["after"]) if query.get("after") else ""
