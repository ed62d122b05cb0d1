"""Finds the instruments that a user means, in any spelling: `BTC/USDT`, `btcusdt`, `XBT-USDT` for `BTC-USDT`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

from crosstape.bus import Client
from crosstape.bus.client.call import UNAVAILABLE, execute
from crosstape.errors import BusError, SettingsError
from crosstape.tape.symbols import meant_by, plain, respelled
from crosstape_schemas import Keys

NEAR: Final = 0.75
"""How similar a name must be, from 0 to 1, to be a hint: pairs of the same quote currency are more similar than words are."""

_PAIR: Final = re.compile(r"[A-Za-z0-9]+[/_-][A-Za-z0-9]+\*?")


class InstrumentNames:
    """The instruments of a tape at one moment."""

    def __init__(self, known: Iterable[str]) -> None:
        self._known = sorted(set(known))

    def meant(self, symbol: str) -> str:
        """Returns the instrument that a symbol means. One that is not on the tape is returned in our spelling, for it may come later.

        Raises `SettingsError` if several are meant.
        """
        match meant_by(symbol, self._known):
            case [name]:
                return name
            case []:
                text = respelled(symbol).strip()
                return re.sub("[/_]", "-", text).upper() if _PAIR.fullmatch(text) else text
            case names:
                raise SettingsError(f"{symbol} may mean {' or '.join(names)}: write it as one of these")

    def hint(self, name: str) -> str:
        """Returns `did you mean BTC-USDT?` for a name that was not on the tape; empty if it was, or if none is near."""
        by_plain = {plain(one).lower(): one for one in self._known}
        near = [] if name in self._known else difflib.get_close_matches(plain(name).lower(), by_plain, n=1, cutoff=NEAR)
        return f"did you mean {by_plain[near[0]]}?" if near else ""

    def listed(self, missing: Iterable[str]) -> str:
        """Returns names that are not on the tape, each with its hint: `BTC-USDC (did you mean BTC-USDT?), ABC-USD`."""
        return ", ".join(f"{name} ({hint})" if (hint := self.hint(name)) else name for name in missing)


NONE_KNOWN: Final = InstrumentNames(())


async def instrument_names(client: Client, keys: Keys) -> InstrumentNames:
    """Read the names of all instruments on the tape. Raises `BusError` if the server does not answer."""
    known: set[str] = set()
    try:
        for partition in range(keys.partitions):
            for member in await execute(client, "SMEMBERS", keys.registry(partition)):
                kind, instrument = keys.parse(member.decode()) or ("venue", "")
                if kind != "venue":
                    known.add(instrument)
    except UNAVAILABLE as exc:
        raise BusError(f"the server does not answer: {exc}") from exc
    return InstrumentNames(known - {""})
