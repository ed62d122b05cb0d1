"""Makes and checks the cookies of browsers: who reads, until when, signed with a key that comes from the token. Pure.

So a session is good on every gateway with the same file of tokens, nothing is stored, and it ends with the token.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Final

from crosstape_gateway.access.tokens import Reader

COOKIE: Final = "crosstape_session"
LIFETIME_S: Final = 30 * 86_400
"""How long a session lasts."""

_COOKIE: Final = re.compile(r"([A-Za-z0-9_.-]{1,64})\.([0-9]{1,12})\.([0-9a-f]{64})")


def cookie_of(reader: Reader, expires_s: int) -> str:
    """Returns the cookie of a session that ends at `expires_s`, seconds since the epoch."""
    return f"{reader.name}.{expires_s}.{_signature(reader, expires_s)}"


def holder(cookie: str, readers: Mapping[str, Reader], now_s: float) -> Reader | None:
    """Returns whose session a cookie is; None if it is not signed by a present token, or has ended."""
    if (found := _COOKIE.fullmatch(cookie)) is None:
        return None
    name, expires_s, signature = found[1], int(found[2]), found[3]
    reader = readers.get(name)
    if reader is None or not hmac.compare_digest(_signature(reader, expires_s), signature):
        return None
    return reader if now_s < expires_s else None


def _signature(reader: Reader, expires_s: int) -> str:
    return hmac.digest(reader.session_key, f"{reader.name}.{expires_s}".encode(), "sha256").hex()
