"""Why a server cannot be used, in words; and whether waiting can help."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any, Final

from redis.asyncio import RedisCluster
from redis.asyncio.connection import SSLConnection
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from crosstape.bus.client.call import Client


class Foreign(ResponseError):
    """A name of ours holds something else."""


_HOPELESS: Final = (AuthenticationError, NoPermissionError, ssl.SSLCertVerificationError, Foreign)

_WORDS: Final = {
    AuthenticationError: "it refuses bus.username and bus.password",
    NoPermissionError: "it does not allow its user what we need",
    ssl.SSLCertVerificationError: "its certificate is not trusted (bus.ca_file)",
    ConnectionRefusedError: "connection refused",
}
"""Before the error's own, which alone would not always be clear."""


_NO_DATABASE: Final = "it has no database of this number (the end of bus.url)"
_NO_DATABASE_TEXTS: Final = (
    "DB index is out of range",
    "invalid DB index",
    "value is not an integer or out of range",
    "SELECT is not allowed in cluster mode",
    "Invalid Database",
)
"""What servers answer to SELECT; and the last, redis-py for them."""


def is_hopeless(exc: Exception) -> bool:
    """Whether asking again cannot help: refused credentials or commands, a certificate that is not trusted, a name that is taken,
    a database that is not there.
    """
    return any(isinstance(one, _HOPELESS) for one in _causes(exc)) or denied(str(exc)) or _lacks_database(exc)


def reason(exc: Exception) -> str:
    """The error in one line."""
    text = " ".join(str(exc).split()) or type(exc).__name__
    words = (word for one in _causes(exc) for kind, word in _WORDS.items() if isinstance(one, kind))
    word = next(words, _WORDS[NoPermissionError] if denied(text) else _NO_DATABASE if _lacks_database(exc) else None)
    return f"{word}: {text}" if word else text


def suspicion(client: Client, exc: Exception) -> str:
    """What may be wrong when a server has never answered and the error itself does not tell: one side speaks TLS, the other does not."""
    options = client.get_connection_kwargs()
    if isinstance(client, RedisCluster) or "path" in options:
        return ""
    secure = issubclass(client.connection_pool.connection_class, SSLConnection)
    if isinstance(exc, RedisTimeoutError) and secure:
        return " (does that port speak TLS?)"
    if isinstance(exc, RedisConnectionError) and "closed by server" in str(exc) and not secure:
        return " (is that a TLS port? then bus.url begins with rediss://)"
    return ""


def place(client: Client) -> str:
    """Where the client's server is, fit to be shown."""
    if isinstance(client, RedisCluster):
        return "cluster"
    pool: Any = client.connection_pool
    options = pool.connection_kwargs
    return str(options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}")


def denied(text: str) -> bool:
    """Whether a server's answer refuses its user, also out of a script. (The first of the two texts is Valkey's, the other Redis 7.0's.)"""
    return text.startswith(("NOPERM", "NOAUTH")) or any(words in text for words in ("ACL failure", "The user executing the script can't"))


def _lacks_database(exc: Exception) -> bool:
    """Whether the server refuses the database of a new connection: redis-py passes its answer on, or words of its own in its place."""
    return isinstance(exc, RedisConnectionError | ResponseError) and any(text in str(exc) for text in _NO_DATABASE_TEXTS)


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """The error, and what led to it."""
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__
