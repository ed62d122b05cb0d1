"""Identifies the tape by a random id and an origin: `live`, `test` or `simulated`. The first producer makes the hash `Keys.identity`.

What belongs to one tape must not get onto another: a spool that was written while one server was away, or events of simulated venues. So
producers compare. A server that lost all its data gets the same identity again from a producer that knows it, or by the label of a spool
that an earlier producer left.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final, NamedTuple

from crosstape.bus.client.call import Client, execute
from crosstape.bus.spool.directory import LABEL, SUFFIX
from crosstape_schemas import Keys

IDENTIFY: Final = """
-- KEYS: identity, registry of its partition. ARGV: id for a tape that has none, and its origin or '' (unknown);
-- '1': these are known to be this tape's; origin to set if the tape has none, or ''. Answers {id, origin or ''}
local found = redis.call('HMGET', KEYS[1], 'id', 'origin')
local id, origin = found[1], found[2] or ''
if not id then
  if origin == '' and ARGV[2] ~= '' and ARGV[4] ~= '' and ARGV[2] ~= ARGV[4] then return {ARGV[1], ARGV[2]} end -- refused: nothing is made
  id = ARGV[1]
  redis.call('HSET', KEYS[1], 'id', id)
  local presumed = ARGV[2]
  if ARGV[3] ~= '1' and redis.call('SCARD', KEYS[2]) > 0 then presumed = 'live' end -- made by a version that knew no identity
  if origin == '' and presumed ~= '' then
    origin = presumed
    redis.call('HSET', KEYS[1], 'origin', origin)
  end
end
if origin == '' and ARGV[4] ~= '' then
  origin = ARGV[4]
  redis.call('HSET', KEYS[1], 'origin', origin)
end
return {id, origin}
"""


class Identity(NamedTuple):
    """The identity of a tape, as far as it is known."""

    id: str = ""
    """Empty: unknown."""
    origin: str = ""
    """`live`, `test` or `simulated`. Empty: not known yet."""

    @property
    def label(self) -> str:
        """The text for a spool's `LABEL`."""
        return f"{self.id} {self.origin}\n"

    @classmethod
    def parse(cls, label: str) -> Identity:
        """Reads a label; from any other text, an identity that is not known."""
        parts = label.split()
        return cls(*parts) if len(parts) in {1, 2} else cls()


class Tape:
    """The tape that a process writes to. All its publishers share what is known of it."""

    def __init__(self, presumed: Identity | None = None) -> None:
        """`presumed`: the identity that an empty server is given, as the label of a spool that was left says."""
        self.identity = Identity()
        """The identity that was last found on the server."""
        self._presumed = presumed or Identity()

    async def identify(self, client: Client, keys: Keys, *, origin: str = "", presumed: Identity | None = None) -> Identity:
        """Give the server the parts of the identity that it lacks; returns what it has then. `origin`: where a venue's answers come from.

        Whether that is the same tape as before is for the caller to compare: `identity` stays as it is. Raises one of `call.UNAVAILABLE`.
        """
        known = next((one for one in (self.identity, presumed, self._presumed) if one is not None and one.id), None)
        given = known or Identity(secrets.token_hex(8))
        args = (given.id, given.origin, int(known is not None), origin)
        found = await execute(client, "EVAL", IDENTIFY, 2, keys.identity(), keys.registry(), *args)
        return Identity(*(part.decode(errors="replace") for part in found))


def identity_in_spools(spools: Path) -> Identity:
    """The tape that a spool below this directory (`RUN_DIR/spool`) is for; of several, the newest one."""
    newest: tuple[float, Identity] = (0.0, Identity())
    for path in spools.glob(f"*/*-of-*/{LABEL}"):
        try:
            if next(path.parent.glob(f"*{SUFFIX}"), None) is not None:
                newest = max(newest, (path.stat().st_mtime, Identity.parse(path.read_text())))
        except (OSError, ValueError):
            continue  # it was removed meanwhile
    return newest[1]
