"""Parses the address of a history in PostgreSQL."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import msgspec

from crosstape.errors import HistoryError

SCHEMA: Final = "crosstape"
"""Name of the schema that holds the tables, if the address has no other."""
_SCHEMES: Final = frozenset({"postgresql", "postgres"})
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,39}").fullmatch
_PASSWORDS: Final = frozenset({"password", "sslpassword"})


class Address(msgspec.Struct, frozen=True):
    """Where a history is. Its repr, and `shown`, are without the password."""

    url: str
    """As asyncpg takes it."""
    schema: str
    shown: str
    """For messages: `postgresql://HOST/DATABASE`."""
    secrets: tuple[str, ...] = ()
    """The passwords in `url`, as they are written there and as they are."""

    def __repr__(self) -> str:
        return f"Address({self.shown!r}, schema={self.schema!r})"

    def hide(self, text: str) -> str:
        """Returns the text without the passwords, on one line."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())


def parse(url: str) -> Address:
    """Returns what `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…` says. Raises `HistoryError`, without the password.

    What asyncpg knows of the query is its own (`sslmode`, `sslrootcert`, `host` of a socket, `passfile` …); `schema` is ours. A driver in
    the scheme (`postgresql+asyncpg`), as SQLAlchemy writes it, is left out.
    """
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise HistoryError("the address of the history is no URL; it looks like postgresql://USER:PASSWORD@HOST:5432/DATABASE") from None
    scheme = parts.scheme.partition("+")[0]
    user, _, hosts = parts.netloc.rpartition("@")
    if scheme not in _SCHEMES:
        raise HistoryError(f"the address of a history in PostgreSQL begins with postgresql://, not {parts.scheme}://")
    if "@" in user or "@" in parts.path or parts.fragment:
        raise HistoryError("the address of the history: write @ / # ? and % of a password as %40 %2F %23 %3F %25")
    ports = (host.rpartition("]")[2].partition(":")[2] for host in hosts.split(","))
    if any(port and not port.isdigit() for port in ports):
        raise HistoryError("the address of the history: a port is a number; it looks like postgresql://USER:PASSWORD@HOST:5432/DATABASE")
    schema = query.pop("schema", SCHEMA)
    if not _NAME(schema):
        raise HistoryError(f"the address of the history: {schema!r:.50} is no name of a schema: at most 40 of a-z, 0-9 and _")
    written = [user.partition(":")[2], *(query[name] for name in _PASSWORDS & query.keys())]
    secrets = {secret for one in written for secret in (one, unquote(one)) if secret}
    shown = f"postgresql://{hosts or query.get('host', '')}{parts.path}"
    made = parts._replace(scheme="postgresql", query=urlencode(query)).geturl()
    # urlsplit drops the two slashes of an address without a host
    made = made if made.startswith("postgresql://") else made.replace("postgresql:", "postgresql://", 1)
    return Address(made, schema, shown, tuple(sorted(secrets, key=len, reverse=True)))
