"""The checker finds nothing wrong with bars that are right, and names what is wrong with others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec
import pytest

from crosstape_schemas import CONSOLIDATED, Bar, GapCause, Side, Trade
from crosstape_schemas import Gap as GapEvent
from tests.chaos import bars as rule
from tests.chaos.bars import Bars
from tests.chaos.tape import KEYS, Entry
from tests.chaos.true_market import TrueInstrument
from tests.chaos.violations import Violation

NAME: Final = "BTC-USDT"
VENUES: Final = ("binance", "kraken")
SECOND: Final = 10**9
MINUTE: Final = 60 * SECOND
START: Final = 1_800_000_000 * SECOND
"""The beginning of a minute."""
SECONDS: Final = 130
END: Final = START + (SECONDS + 30) * SECOND
LATE: Final = 5_000_000
"""ns from sending to receipt."""
GRACE: Final = 2 * SECOND

Corrupt = Callable[[list[Any]], list[Any]]


def trades() -> list[Trade]:
    """Each second one trade at Binance and two at Kraken, of which one has the same time; none at Kraken in every third second."""
    found: list[Trade] = []
    for n in range(SECONDS):
        ts = START + n * SECOND
        taker = Side.BUY if n % 2 else Side.SELL
        found.append(Trade("binance", NAME, ts, ts + LATE, Decimal(100 + n % 7), Decimal("0.5"), taker, str(n + 1)))
        if n % 3:
            for at, price in ((0, 99 + n % 5), (900_000_000, 98)):
                number = str(2 * n + at // 900_000_000)
                found.append(Trade("kraken", NAME, ts + at, ts + at + LATE, Decimal(price), Decimal("0.25"), taker, number))
    return sorted(found, key=lambda one: one.received_ts)


def market() -> dict[tuple[str, str], TrueInstrument]:
    """The same."""
    found = {(venue, NAME): TrueInstrument(venue, NAME) for venue in VENUES}
    for trade in trades():
        row = {"id": int(trade.trade_id or 0), "ts": trade.venue_ts, "price": str(trade.price), "size": str(trade.size)}
        found[trade.venue, NAME].learn_trades([{**row, "taker": trade.taker}])
    return found


def made(tape: Iterable[Trade], venue: str, timeframe: str, open_ts: int, length: int) -> list[Bar]:
    """The open and the closed bar of these trades; none without trades."""
    inside = [one for one in tape if venue in (one.venue, CONSOLIDATED) and open_ts <= (one.venue_ts or 0) < open_ts + length]
    if not inside:
        return []
    inside.sort(key=lambda one: (one.venue_ts or 0, one.venue, int(one.trade_id or 0)))
    prices, times = [one.price for one in inside], (open_ts, open_ts + length)
    bought = sum((one.size for one in inside if one.taker is Side.BUY), Decimal(0))
    volume, value = sum((one.size for one in inside), Decimal(0)), sum((one.size * one.price for one in inside), Decimal(0))
    closed = Bar(
        venue, NAME, None, times[1] + GRACE, timeframe, *times, prices[0], max(prices), min(prices), prices[-1],
        volume, value, len(inside), bought, closed=True, complete=True,
    )  # fmt: skip
    part = msgspec.structs.replace(
        closed, received_ts=open_ts + LATE, closed=False, complete=False, trades=1, volume=inside[0].size, close=prices[0]
    )
    return [part, closed]


def bars(tape: list[Trade] | None = None) -> list[Any]:
    """What an aggregator publishes of these trades, of all venues and both timeframes, in order."""
    return list(_bars(tuple(trades() if tape is None else tape)))


@lru_cache(2)
def _bars(tape: tuple[Trade, ...]) -> list[Bar]:
    found = [
        bar
        for timeframe, length in (("1s", SECOND), ("1m", MINUTE))
        for at in range(SECONDS * SECOND // length)
        for venue in (*VENUES, CONSOLIDATED)
        for bar in made(tape, venue, timeframe, START + at * length, length)
    ]
    return sorted(found, key=lambda bar: bar.received_ts)


def find(events: list[Any], venue: str, timeframe: str, at: int, closed: object = True) -> int:
    """The index of one bar: the one that opens `at` seconds after the start."""
    wanted = venue, timeframe, START + at * SECOND, closed
    (index,) = [n for n, one in enumerate(events) if (one.venue, one.timeframe, one.open_ts, one.closed) == wanted]
    return index


def checked(events: list[Any], *, now: int = END, tape: list[Trade] | None = None, skewed: bool = False) -> tuple[Bars, list[Violation]]:
    """The rule after these bars and gaps, and what it finds."""
    checker = Bars(market(), settle_ns=4 * SECOND, late_ns=10 * SECOND, skewed=skewed)
    streams = [KEYS.stream(event.kind if isinstance(event, GapEvent) else f"bar:{event.timeframe}", NAME) for event in events]
    entries = [Entry(stream, f"{one.received_ts // 10**6}-{n}", one) for n, (stream, one) in enumerate(zip(streams, events, strict=True))]
    traded = [Entry(KEYS.stream("trade", NAME), "0-1", trade) for trade in (trades() if tape is None else tape)]
    violations = [*checker.take([*entries, *traded]), *checker.take([]), *checker.done(now)]
    return checker, violations


def found(events: list[Any], **how: Any) -> set[str]:
    """The rules that are broken."""
    return {violation.what for violation in checked(events, **how)[1]}


def changed(events: list[Any], place: tuple[Any, ...], **fields: object) -> list[Any]:
    """The events with some fields of one bar changed. `place`: as `find` wants it."""
    index = find(events, *place)
    return [*events[:index], msgspec.structs.replace(events[index], **fields), *events[index + 1 :]]


def without(events: list[Any], *place: Any) -> list[Any]:
    """The events without one closed bar."""
    index = find(events, *place)
    return [*events[:index], *events[index + 1 :]]


def again(events: list[Any], place: tuple[Any, ...], **fields: object) -> list[Any]:
    """The events, and one bar once more at the end, changed."""
    return [*events, msgspec.structs.replace(events[find(events, *place)], **fields)]


BINANCE = "binance", "1s", 7
ALL = CONSOLIDATED, "1s", 7
LONG = "kraken", "1m", 60


def test_bars_that_are_right_are_right() -> None:
    """All that are closed were compared, most of them with the true market, too."""
    checker, violations = checked(bars())
    assert violations == []
    closed = [bar for bar in bars() if bar.closed]
    assert checker.checked == len(closed) > 340
    assert checker.complete == len([bar for bar in closed if bar.close_ts < END - 10 * SECOND])


@pytest.mark.parametrize(
    ("corrupt", "what"),
    [
        (lambda events: changed(events, BINANCE, volume=Decimal("0.51")), "a bar is not its trades"),
        (lambda events: changed(events, BINANCE, taker_buy_volume=None), "a bar is not its trades"),
        (lambda events: changed(events, ALL, quote_volume=Decimal("0.51")), "a bar is not its trades"),
        (lambda events: changed(events, ALL, open=Decimal(98)), "a bar is not its trades"),
        (lambda events: changed(events, LONG, close=Decimal(97)), "a bar is not its trades"),
        (lambda events: changed(events, LONG, high=Decimal(104)), "a bar is not its trades"),
        (lambda events: changed(events, LONG, trades=7, complete=False), "a bar is not its trades"),
        (lambda events: changed(events, LONG, close_ts=START + 121 * SECOND), "a bar ends at another time"),
        (lambda events: changed(events, ("kraken", "1s", 7), open_ts=START + 6 * SECOND, close_ts=START + 7 * SECOND), "a bar never was"),
        (lambda events: without(events, *BINANCE), "bars are missing"),
        (lambda events: without(events, CONSOLIDATED, "1m", 60), "bars are missing"),
        (lambda events: changed(events, BINANCE, revision=1), "a bar's revision is not the next"),
        (lambda events: again(events, BINANCE), "a bar's revision is not the next"),
        (lambda events: again(events, BINANCE, revision=2, complete=False), "a bar's revision is not the next"),
        (lambda events: again(events, BINANCE, revision=1), "a bar is published again unchanged"),
        (lambda events: again(events, BINANCE, revision=1, volume=Decimal(1)), "a bar is not its trades"),
        (lambda events: again(events, (*BINANCE, False)), "a closed bar is open again"),
        (lambda events: again(without(events, *BINANCE), (*BINANCE, False), trades=2), "an open bar never was"),
    ],
)
def test_a_bar_that_is_wrong_is_named(corrupt: Corrupt, what: str) -> None:
    """By the rule that it breaks."""
    assert what in found(corrupt(bars()))


def test_a_revision_makes_it_right() -> None:
    """The highest revision counts. One that is new is not judged yet."""
    wrong = changed(bars(), BINANCE, volume=Decimal(9))
    right = msgspec.structs.replace(bars()[find(bars(), *BINANCE)], revision=1)
    assert found([*wrong, right]) == set()
    new = msgspec.structs.replace(right, volume=Decimal(9), received_ts=END - SECOND)
    assert found([*bars(), new]) == set()
    assert found([*bars(), new], now=END + MINUTE) == {"a bar is not its trades"}


def test_a_complete_bar_has_all_trades_of_the_market() -> None:
    """An incomplete one has those on the tape. With wrong clocks, nobody knows in which interval a trade was made."""
    tape = [one for one in trades() if (one.venue, one.trade_id) != ("kraken", "9")]
    complete = bars(tape)
    assert found(complete, tape=tape) == {"a complete bar lacks trades"}
    assert found(complete, tape=tape, skewed=True) == set()
    honest = [bar if bar.timeframe == "1s" and bar.open_ts != START + 4 * SECOND else incomplete(bar) for bar in complete]
    assert found(honest, tape=tape) == set()


def incomplete(bar: Bar) -> Bar:
    """The same, which does not say that it is complete."""
    return msgspec.structs.replace(bar, complete=False)


def gap(kind: str, from_s: int, to_s: int, *, venue: str = CONSOLIDATED) -> GapEvent:
    """A gap of what the server has lost."""
    return GapEvent(venue, NAME, None, START + to_s * SECOND, kind, START + from_s * SECOND, START + to_s * SECOND, 1, GapCause.BUS)


def test_what_the_server_has_lost_may_be_missing() -> None:
    """Bars may be, where a gap of their stream says so. A bar may have trades that the server has not any more."""
    missing = without(bars(), *BINANCE)
    assert found([*missing, gap("bar:1s", 7, 10)]) == set()
    assert found([*missing, gap("bar:1m", 7, 10)]) == found([*missing, gap("bar:1s", 20, 30)]) == {"bars are missing"}
    second = changed(bars(), BINANCE, revision=1)
    assert found([*second, gap("bar:1s", 7, 10)]) == set()
    tape = [one for one in trades() if one.trade_id != "8" or one.venue != "binance"]
    assert found(bars(), tape=tape) == {"a bar never was", "a bar is not its trades"}
    assert found([*bars(), gap("trade", 7, 8, venue="binance")], tape=tape) == set()


def test_an_interval_without_trades_may_have_a_flat_bar() -> None:
    """At any price, or at none."""
    times = START + 3 * SECOND, START + 4 * SECOND
    for price in (Decimal(5), None):
        flat = Bar(
            "kraken", NAME, None, times[1] + GRACE, "1s", *times, price, price, price, price, Decimal(0), Decimal(0), 0, Decimal(0),
            closed=True,
        )  # fmt: skip
        assert found([*bars(), flat]) == set()
        assert found([*bars(), msgspec.structs.replace(flat, high=Decimal(9))]) == {"a bar never was"}


def test_a_trade_of_an_impossible_time_belongs_to_the_moment_of_its_receipt() -> None:
    """As the method says."""
    ahead = msgspec.structs.replace(trades()[0], venue_ts=START + 61 * SECOND + LATE)
    assert found(bars(), tape=[msgspec.structs.replace(ahead, venue_ts=START + 7_200 * SECOND), *trades()[1:]]) == set()
    assert found(bars(), tape=[msgspec.structs.replace(ahead, venue_ts=None), *trades()[1:]]) == set()
    assert "a bar is not its trades" in found(bars(), tape=[msgspec.structs.replace(ahead, venue_ts=START + 5 * SECOND), *trades()[1:]])


def test_old_bars_are_judged_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them is judged twice, and what is wrong with them is found."""
    monkeypatch.setattr(rule, "KEPT", 20)
    checker, violations = checked(bars())
    assert violations == []
    assert checker.checked == len([bar for bar in bars() if bar.closed])
    assert found(changed(bars(), BINANCE, volume=Decimal(9))) == {"a bar is not its trades"}
