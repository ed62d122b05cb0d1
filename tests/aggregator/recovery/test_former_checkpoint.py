"""Checkpoints of versions 3 and 4 are read: an aggregator that was updated continues its windows and bars."""

from __future__ import annotations

from base64 import b64decode
from decimal import Decimal
from typing import Final

import pytest

from crosstape_aggregator.recovery.checkpoint import VERSION, BadCheckpoint, InstrumentCheckpoint, InstrumentEncoder, decode, head_field
from crosstape_schemas import Vwap
from tests.aggregator.builders import T0, S, X, engine, trade
from tests.aggregator.recovery.former import former_fields, sums_of

WRITTEN: Final = {
    name: b64decode(field)
    for name, field in {
        "6976548:BTC-USDT": "KLUv/SQTmQAAkpHOanQk1JGTpjIwMC4yMKEyAX7h+CE=",
        "6976549:BTC-USDT": "KLUv/SQZyQAAkpHOanQlEJGTqDEuMDFFLTE2pTFFLTE4AXpeVgU=",
        "6976562:BTC-USDT": "KLUv/SQ5yQEAkpPOanQyQ85qdDKAzmp0MoGTk6cxMjQuMTI1pDEuMjUCk6MzMDChMwGTqDEwLjAwMDAwpDAuMTABDj3glQ==",
        "1m.465103:BTC-USDT": (
            "KLUv/STLrQMAlAWRk6ZrcmFrZW6Sks8YySJWAH+AAJuVzxjJIlqol0gAAQEApjEwMC4xMKEypjIwMC4yMAHAzxjJJYmQ2QAAY/jG2Gig3qCjMTAxpTFFLTE4qDEuMDFFLTE2"
            "kAoAYDC1I9ZOkEEk4AgzCFbJUFQGfAY0cJUTmPCzBw=="
        ),
        "1m.465104:BTC-USDT": (
            "KLUv/STNPQQAVAaRk6ZrcmFrZW6Sks8YySVySGIYAJuVzxjJJXtc9t4AAQEApDk5LjWlOTkuMjUxLjI1pzEyNC4xMjUCwM8YySWJkNkAAIBAqXCjMTAwicxzyqcxMDAuMDAwozGk"
            "My4xMKkzMTAwkA0AZDCM8/LdQGBkDJfAAs4GwJFkEO2SQKi28KR84ContXeKgQ=="
        ),
        "head:BTC-USDT": (
            "KLUv/WR1AG0IAIQOkgSdqEJUQy1VU0RUgaV0cmFkZaM1LTGBpmtyYWtlbpIBAM8YySWJkNkAAM5qdCLgAJGTp2JpbmFuY2XPGMklhzzNHId4Z+YygJO2NjM0LjMyNTAxMDG0Ni4z"
            "MDAwMQaTlKIxbc5qdDJEA5O2MzIzLjIElKIxaM5qdCRwAJOhMKEwAJSiMWTOanPOgM5qdCTUg84AanQkzocvndXOAGp0Jc4LGF9zzgBqdDLO8GrZjJiBojFtAMxzygAAkpOiMW3A"
            "k6Ixbaxjb25zb2xpZGF0ZWTAgqkxbS40NjUxMDPO9c8tIzTOeUC3+A0Ak1keTC4NIu7476SNAKHc4swMg9nh6rs3z8ZZAkFDuZQZBa7NJg=="
        ),
    }.items()
}
"""The fields that version 4 wrote for the trades of `EVENTS`, with the windows 1m, 1h and 1d, bars of 1m, and an open gap."""

EVENTS: Final = [
    (-3_500, "100.10", "2"), (-3_440, "101", "1E-18"), (-61, "99.5", "0.25"), (-61, "99.25", "1"), (0, "100", "3"), (1, "100.000", "0.10"),
]  # fmt: skip
SECOND: Final = T0 // S


def test_a_checkpoint_that_version_4_wrote_is_read() -> None:
    """Its windows go on, exact to the second, and so do its bars, as if the trades had been applied here.

    Then it is written in the present layout.
    """
    mine, other = (engine(windows=("1m", "1h", "1d"), bars=("1m",), bar_history_s=1e6).instrument(X, T0) for _ in range(2))
    for at, price, size in EVENTS:
        other.apply(trade("kraken", price, size, T0 + at * S, received_ts=T0), T0)
    other.known_from(SECOND - 4_000)
    other.open_gap("binance", T0 - 10 * S, T0 - 9 * S)

    ids, state = decode(X, WRITTEN)
    expected = other.state()
    assert ids == {"trade": "5-1"}
    assert expected is not None
    assert state._replace(windows=expected.windows) == expected
    assert sums_of(state.windows) == sums_of(expected.windows)
    mine.restore(state, T0)
    for one in (mine, other):
        one.apply(trade("kraken", "100.5", "0.5", T0 - 3_440 * S, received_ts=T0), T0)
    assert mine.windows.read(SECOND)["1m"] == Vwap(Decimal(100), Decimal("3.1"), 2, complete=False)
    for later_s in (61, 100, 160, 161, 200, 3_600, 3_602):
        assert mine.windows.read(SECOND + later_s) == other.windows.read(SECOND + later_s)
    encoder = InstrumentEncoder(X, {name: len(field) for name, field in WRITTEN.items()})
    fields = dict(encoder.changed(InstrumentCheckpoint(ids, state)))
    assert decode(X, fields) == (ids, state)
    assert set(encoder.gone()) == {name for name in WRITTEN if name[0] == "6"}


@pytest.mark.parametrize("version", [3, 4])
def test_an_hour_of_a_former_version_goes_on(version: int) -> None:
    """Every second of it leaves the windows when its time has come."""
    mine, other = (engine(windows=("1m", "7m", "1h")).instrument(X, T0) for _ in range(2))
    for at in range(-3_600, 1):
        other.apply(trade("kraken", f"100.{at % 89}", f"0.{at % 97 + 1}", T0 + at * S, received_ts=T0 + at * S), T0 + at * S)
    other.known_from(SECOND - 4_000)
    state = other.state()
    assert state is not None

    ids, found = decode(X, former_fields(X, InstrumentCheckpoint({"trade": "7-0"}, state), version))
    mine.restore(found, T0)
    assert ids == {"trade": "7-0"}
    for later_s in range(0, 3_602, 7):
        assert mine.windows.read(SECOND + later_s) == other.windows.read(SECOND + later_s)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_field_of_a_former_version_that_is_missing_or_damaged_is_found(name: str) -> None:
    """As in the present layout."""
    for fields in ({other: field for other, field in WRITTEN.items() if other != name}, WRITTEN | {name: WRITTEN[name][:-3]}):
        with pytest.raises(BadCheckpoint, match="damaged"):
            decode(X, fields)


def test_versions_are_told_apart_by_their_heads() -> None:
    """A former aggregator reads the version before anything else, and ignores a checkpoint that is newer than itself."""
    assert VERSION == 5
    with pytest.raises(BadCheckpoint, match=f"of version 2, not {VERSION}"):
        decode(X, former_fields_of_version_2())


def former_fields_of_version_2() -> dict[str, bytes]:
    """Return the present fields of an instrument whose head says that it is of version 2."""
    state = decode(X, WRITTEN)[1]
    fields = former_fields(X, InstrumentCheckpoint({}, state), 2)
    return {head_field(X): fields[head_field(X)]}
