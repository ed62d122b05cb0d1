"""Reads the last values of many streams at once: where a producer's predecessor ended, for every kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from crosstape.bus.client.call import UNAVAILABLE, Client, execute
from crosstape.errors import BusError
from crosstape.log import get_log
from crosstape_schemas import Event, Keys, decode

AT_ONCE: Final = 250
"""Keys in one call at most: the server does nothing else during a call, here for about a millisecond."""

LOOK: Final = """
-- KEYS: hashes of last values. ARGV: the field. Answers the field of each hash, false where there is none
local values = {}
for i = 1, #KEYS do
  local value = redis.pcall('HGET', KEYS[i], ARGV[1])
  values[i] = type(value) == 'string' and value or false
end
return values
"""

LastValues: TypeAlias = Mapping[tuple[str, str], Event]
"""(kind, instrument) → the newest event of one venue."""

log = get_log(__name__)


async def last_values(client: Client, keys: Keys, wanted: Iterable[tuple[str, str]], venue: str) -> dict[tuple[str, str], Event]:
    """Returns (kind, instrument) → newest event of this venue, for those that have one; a status is that of the whole instrument.

    `venue` is the field of the hash. Values that are no events of ours are left out and logged. Raises `BusError` when the server does not
    answer.
    """
    found: dict[tuple[str, str], Event] = {}
    for part in _parts(keys, wanted):
        names = [keys.last(kind, instrument) for kind, instrument in part]
        try:
            values = await execute(client, "EVAL", LOOK, len(names), *names, venue)
        except UNAVAILABLE as exc:
            raise BusError(f"last values: {exc}") from exc
        for name, one, value in zip(names, part, values, strict=True):
            if value is not None:
                try:
                    found[one] = decode(value)
                except msgspec.MsgspecError:
                    log.warning("bus.foreign", key=name, field=venue)
    return found


def _parts(keys: Keys, wanted: Iterable[tuple[str, str]]) -> Iterator[Sequence[tuple[str, str]]]:
    """Divides what is wanted into parts of at most `AT_ONCE`, each in one partition: a script may touch only one."""
    by_partition: dict[int, list[tuple[str, str]]] = {}
    for one in wanted:
        by_partition.setdefault(keys.partition(one[1]), []).append(one)
    for part in by_partition.values():
        for start in range(0, len(part), AT_ONCE):
            yield part[start : start + AT_ONCE]
