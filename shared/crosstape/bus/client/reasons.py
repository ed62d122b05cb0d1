"""Explains why a server cannot be used, and whether waiting can help."""

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


class WrongKeyType(ResponseError):
    """A key of ours holds something else."""


_HOPELESS: Final = (AuthenticationError, NoPermissionError, ssl.SSLCertVerificationError, WrongKeyType)

_EXPLANATIONS: Final = {
    AuthenticationError: "it refuses bus.username and bus.password",
    NoPermissionError: "it does not allow its user what we need",
    ssl.SSLCertVerificationError: "its certificate is not trusted (bus.ca_file)",
    ConnectionRefusedError: "connection refused",
}
"""Text that is put before the error's own text, which alone is not always clear."""


_NO_DATABASE: Final = "it has no database of this number (the end of bus.url)"
_NO_DATABASE_TEXTS: Final = (
    "DB index is out of range",
    "invalid DB index",
    "value is not an integer or out of range",
    "SELECT is not allowed in cluster mode",
    "Invalid Database",
)
"""Answers of servers to SELECT; the last one is redis-py's."""


def is_hopeless(exc: Exception) -> bool:
    """Whether another attempt cannot help: refused credentials or commands, a certificate that is not trusted, a key of another type,
    a database that does not exist.
    """
    return any(isinstance(one, _HOPELESS) for one in _causes(exc)) or denied(str(exc)) or _lacks_database(exc)


def reason(exc: Exception) -> str:
    """Returns the error in one line, after an explanation where we have one."""
    text = " ".join(str(exc).split()) or type(exc).__name__
    known = (explanation for one in _causes(exc) for kind, explanation in _EXPLANATIONS.items() if isinstance(one, kind))
    explanation = next(known, _EXPLANATIONS[NoPermissionError] if denied(text) else _NO_DATABASE if _lacks_database(exc) else None)
    return f"{explanation}: {text}" if explanation else text


def suspicion(client: Client, exc: Exception) -> str:
    """Returns a likely cause where the error itself names none and the server has never answered: only one side speaks TLS."""
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
    """The address of the client's server, without secrets."""
    if isinstance(client, RedisCluster):
        return "cluster"
    pool: Any = client.connection_pool
    options = pool.connection_kwargs
    return str(options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}")


def denied(text: str) -> bool:
    """Whether a server's answer refuses its user, also within a script. (The first text is Valkey's, the second Redis 7.0's.)"""
    return text.startswith(("NOPERM", "NOAUTH")) or any(answer in text for answer in ("ACL failure", "The user executing the script can't"))


def _lacks_database(exc: Exception) -> bool:
    """Whether the server refuses the database of a new connection: redis-py passes on its answer, or raises an error with its own text."""
    return isinstance(exc, RedisConnectionError | ResponseError) and any(text in str(exc) for text in _NO_DATABASE_TEXTS)


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Yields the error, and the errors that caused it."""
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__
