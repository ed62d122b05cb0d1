"""The checker finds nothing wrong with candles, figures and liquidations that are right, and names what is wrong with others."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from crosstape_schemas import Candle, Event, Funding, GapCause, Liquidation, Mark, OpenInterest, Side, Trade
from crosstape_schemas import Gap as GapEvent
from tests.chaos.candles import Candles
from tests.chaos.figures import Figures
from tests.chaos.liquidations import Liquidations
from tests.chaos.true_market import TrueInstrument
from tests.chaos.unnumbered import UnnumberedTrades
from tests.chaos.violations import Violation

VENUE, NAME = "kraken", "BTC-USDT-PERP"
SECOND: Final = 10**9
START: Final = 1_800_000_000 * SECOND
MINUTE: Final = 60 * SECOND
COUNT: Final = 8
END: Final = START + COUNT * MINUTE + 30 * SECOND
LATE: Final = 5_000_000
"""ns from sending to receipt."""

Corrupt = Callable[[list[Any]], list[Any]]


def market() -> TrueInstrument:
    """Eight minutes, the third without a trade; a new mark price each second; a liquidation every ten seconds."""
    one = TrueInstrument(VENUE, NAME)
    rows = [
        {
            "open_ts": START + n * MINUTE, "close_ts": START + (n + 1) * MINUTE, "open": f"{100 + n}", "high": f"{105 + n}",
            "low": f"{95 + n}", "close": f"{101 + n}", "volume": f"{n + 1}.5", "quote_volume": f"{100 * n}", "taker_buy_volume": "1",
            "trades": n + 3,
        }
        for n in range(COUNT)
        if n != 2
    ]  # fmt: skip
    one.learn_candles("1m", rows)
    figures = [
        {
            "ts": START + n * SECOND, "mark_price": f"{100 + n}.5", "index_price": f"{100 + n}", "open_interest": f"{1000 + n}",
            "rate": "0.0001" if n < 30 else "0.0002", "interval_s": 28_800, "next_ts": START + 28_800 * SECOND,
        }
        for n in range(60)
    ]  # fmt: skip
    one.learn_figures({"inverse": False, "figures": figures})
    one.learn_liquidations(
        {"id": 7 * n, "ts": START + n * 10 * SECOND, "price": f"{100 + n % 2}", "size": "2", "taker": "sell"} for n in range(1, 10)
    )
    return one


def candles() -> list[Event]:
    """What a connector publishes of these candles: each as it runs, then closed."""
    events: list[Event] = []
    for n, true in enumerate(market().candles["1m"].values()):
        times = true.open_ts + 30 * SECOND, true.open_ts + 30 * SECOND + LATE
        one = Candle(
            VENUE, NAME, *times, "1m", true.open_ts, true.close_ts, true.open, true.high, true.low, true.close, true.volume,
            None if n % 2 else true.quote_volume, true.trades, None if n % 2 else true.taker_buy_volume,
        )  # fmt: skip
        begun = msgspec.structs.replace(one, close=true.open, high=true.open, volume=Decimal(1), trades=1, quote_volume=None)
        events += [begun, one, msgspec.structs.replace(one, closed=True, received_ts=true.close_ts + LATE)]
    return events


def found(events: list[Any], *, now: int = END) -> set[str]:
    """The rules that are broken."""
    checker = Candles(market(), "1m", answer_ns=10 * SECOND)
    violations: list[Violation] = []
    for event in events:
        if isinstance(event, GapEvent):
            checker.gap(event)
        else:
            violations += checker.take(event)
    return {violation.what for violation in (*violations, *checker.done(now))}


def changed(events: list[Any], index: int, **fields: object) -> list[Any]:
    """The events with some fields of one changed; negative: from the end."""
    index %= len(events)
    return [*events[:index], msgspec.structs.replace(events[index], **fields), *events[index + 1 :]]


def gap(first: int, last: int, kind: str = "candle:1m") -> GapEvent:
    """A gap between two minutes."""
    times = START + first * MINUTE, START + last * MINUTE
    return GapEvent(VENUE, NAME, None, times[1], kind, *times, None, GapCause.DISCONNECT)


def test_candles_that_are_right_are_right() -> None:
    """Those that are closed were compared."""
    checker = Candles(market(), "1m", answer_ns=10 * SECOND)
    assert [violation for event in candles() if isinstance(event, Candle) for violation in checker.take(event)] == []
    assert list(checker.done(END)) == []
    assert checker.checked == COUNT - 1


@pytest.mark.parametrize(
    ("corrupt", "what"),
    [
        (lambda events: changed(events, 5, volume=Decimal("2.49")), "a candle is not as it was"),
        (lambda events: changed(events, 5, close=Decimal("101.9")), "a candle is not as it was"),
        (lambda events: changed(events, 5, trades=99), "a candle is not as it was"),
        (lambda events: changed(events, 2, quote_volume=Decimal(5)), "a candle is not as it was"),
        (lambda events: changed(events, 2, taker_buy_volume=Decimal(5)), "a candle is not as it was"),
        (lambda events: changed(events, 5, close_ts=START), "a candle is not as it was"),
        (lambda events: [*events[:6], *events[9:]], "candles are missing"),
        (lambda events: [*events, events[-1]], "a revision is not the next"),
        (lambda events: [*events[:5], events[8], events[5], *events[9:]], "an older candle came after a newer"),
        (lambda events: [*events, events[-2]], "a closed candle runs again"),
        (lambda events: changed(events, -1, revision=2), "a revision is not the next"),
        (lambda events: [*events, msgspec.structs.replace(events[5], revision=2)], "a revision is not the next"),
        (lambda events: [*events, msgspec.structs.replace(events[5], revision=1, volume=Decimal(9))], "a candle is not as it was"),
        (lambda events: changed(events, 8, open_ts=START + 2 * MINUTE, close_ts=START + 3 * MINUTE), "a candle never was"),
        (lambda events: changed(events, 4, high=Decimal(999)), "a running candle never was"),
        (lambda events: changed(events, 4, volume=Decimal(999)), "a running candle never was"),
        (lambda events: changed(events, 4, open=Decimal(101) + 1), "a running candle never was"),
        (lambda events: changed(events, 7, open_ts=START + 2 * MINUTE, close_ts=START + 3 * MINUTE), "a running candle never was"),
    ],
)
def test_a_candle_that_is_wrong_is_named(corrupt: Corrupt, what: str) -> None:
    """By the rule that it breaks."""
    assert what in found(corrupt(candles()))


def test_what_a_gap_covers_may_be_wrong_or_missing() -> None:
    """Only there: a gap of other candles, or of another time, covers nothing."""
    wrong, missing = changed(candles(), 5, volume=Decimal("0.1")), [*candles()[:6], *candles()[9:]]
    assert found([*wrong, gap(1, 3)]) == found([*missing, gap(2, 4)]) == set()
    assert found([*wrong, gap(5, 6)]) == {"a candle is not as it was"}
    assert found([*missing, gap(5, 6)]) == {"candles are missing"}


def test_a_correction_makes_it_right() -> None:
    """And the newest may still be corrected."""
    wrong = changed(candles(), 5, volume=Decimal("0.1"))
    right = msgspec.structs.replace(candles()[5], revision=1)
    assert found([*wrong, right]) == set()
    late = changed(candles(), -1, volume=Decimal("0.1"))
    assert found(late, now=START + COUNT * MINUTE + 5 * SECOND) == set()
    assert found(late) == {"a candle is not as it was"}


def test_a_candle_that_comes_after_later_ones_begins_at_revision_one() -> None:
    """Its interval counted as empty until then."""
    events = candles()
    late = msgspec.structs.replace(events[8], revision=1)
    assert found([*events[:6], *events[9:], late]) == set()


def test_an_interval_without_trades_may_have_a_flat_candle() -> None:
    """At any price; with volume it never was."""
    price, times = Decimal(102), (START + 2 * MINUTE, START + 3 * MINUTE)
    flat = Candle(VENUE, NAME, None, END, "1m", *times, price, price, price, price, Decimal(0), closed=True)
    events = candles()
    assert found([*events[:6], msgspec.structs.replace(flat, closed=False), flat, *events[6:]], now=END + MINUTE) == set()
    wrong = msgspec.structs.replace(flat, volume=Decimal(1))
    assert found([*events[:6], wrong, *events[6:]], now=END + MINUTE) == {"a candle never was"}
    uneven = msgspec.structs.replace(flat, high=Decimal(103))
    assert found([*events[:6], uneven, *events[6:]], now=END + MINUTE) == {"a candle never was"}


def test_volumes_of_inverse_contracts_may_be_near() -> None:
    """Their base units depend on prices that a candle does not have."""
    true = market()
    true.candles["1m"] = {open_ts: one._replace(taker_buy_volume=None) for open_ts, one in true.candles["1m"].items()}
    event = candles()[5]
    assert isinstance(event, Candle)
    for volume, wrong in ((event.volume * Decimal("1.001"), 0), (event.volume * Decimal("1.02"), 1)):
        checker = Candles(true, "1m", answer_ns=SECOND)
        assert list(checker.take(msgspec.structs.replace(event, volume=volume))) == []
        assert len(list(checker.done(END))) == wrong


def mark(n: int, *, late: int = LATE) -> Mark:
    """The mark price of a second, as it is received."""
    return Mark(VENUE, NAME, START + n * SECOND, START + n * SECOND + late, Decimal(f"{100 + n}.5"), Decimal(100 + n))


def figures(*events: Mark | Funding | OpenInterest, fresh_s: float = 5.0) -> list[str]:
    """The rules that are broken, in order."""
    checker = Figures(market(), fresh_ns=round(fresh_s * 1e9))
    return [violation.what for event in events for violation in checker.take(event)]


def test_figures_that_are_right_are_right() -> None:
    """Several kinds, each on its own; what the venue does not give is not compared."""
    where = VENUE, NAME, None
    funding = [Funding(*where, START + n * SECOND + LATE, Decimal("0.0001"), 28_800, START + 28_800 * SECOND) for n in (1, 20)]
    interest = OpenInterest(*where, START + 7 * SECOND + LATE, Decimal(1007))
    assert figures(mark(1), *funding, mark(2), interest, mark(9), msgspec.structs.replace(mark(10), index_price=None)) == []


def test_figures_that_a_venue_held_back_are_right() -> None:
    """They are old by its own times, and come in their order."""
    assert figures(*(mark(n, late=(40 - n) * SECOND) for n in (3, 4, 20))) == []


@pytest.mark.parametrize(
    ("events", "what"),
    [
        ([msgspec.structs.replace(mark(3), mark_price=Decimal(1))], "a figure never was"),
        ([msgspec.structs.replace(mark(3), index_price=Decimal("102.9"))], "a figure never was"),
        ([Funding(VENUE, NAME, None, START + LATE, Decimal("0.0002"))], "a figure never was"),
        ([Funding(VENUE, NAME, None, START + LATE, Decimal("0.0001"), None, START)], "a figure never was"),
        ([OpenInterest(VENUE, NAME, None, START + LATE, Decimal(7))], "a figure never was"),
        ([mark(3), mark(5), mark(4, late=3 * SECOND)], "an older figure came after a newer"),
        ([msgspec.structs.replace(mark(3, late=20 * SECOND), venue_ts=None)], "a figure is of the past"),
        ([msgspec.structs.replace(mark(3, late=20 * SECOND), venue_ts=START + 15 * SECOND)], "a figure is of the past"),
        ([mark(3, late=-2 * SECOND)], "a figure never was"),
    ],
)
def test_a_figure_that_is_wrong_is_named(events: list[Mark | Funding | OpenInterest], what: str) -> None:
    """By the rule that it breaks."""
    assert figures(*events) == [what]


def test_open_interest_of_an_inverse_contract_is_not_compared() -> None:
    """Its base units depend on the venue's price."""
    true = market()
    true.inverse = True
    assert list(Figures(true, fresh_ns=SECOND).take(OpenInterest(VENUE, NAME, None, START, Decimal(7)))) == []


def liquidations() -> list[Event]:
    """All of them."""
    return [Liquidation(VENUE, NAME, true.ts, true.ts + LATE, true.taker, true.price, true.size) for true in market().liquidations.values()]


def forced(events: list[Any], venue: str = VENUE) -> list[str]:
    """The rules that are broken, in order."""
    true = market()
    true.venue = venue
    checker = Liquidations(true, transit_ns=SECOND, skews_ns=(0,))
    violations: list[Violation] = []
    for event in events:
        if isinstance(event, GapEvent):
            checker.gap(event)
        else:
            violations += checker.take(event)
    return [violation.what for violation in (*violations, *checker.done())]


@pytest.mark.parametrize(
    ("corrupt", "what"),
    [
        (lambda events: events, []),
        (lambda events: events[3:], []),
        (lambda events: [*events[:3], *events[4:]], ["a liquidation is missing"]),
        (lambda events: [*events, events[3]], ["a liquidation is there again"]),
        (lambda events: changed(events, -1, size=Decimal(3)), ["a liquidation never was"]),
        (lambda events: changed(events, -1, taker=Side.BUY), ["a liquidation never was"]),
        (lambda events: changed(events, -1, venue_ts=START), ["a liquidation never was"]),
        (lambda events: [*events[:1], *events[3:], gap(0, 1, "liquidation")], []),
        (lambda events: [*events[:1], *events[3:], gap(2, 3, "liquidation")], ["a liquidation is missing"] * 2),
    ],
)
def test_each_liquidation_is_there_once_or_in_a_gap(corrupt: Corrupt, what: list[str]) -> None:
    """The venue's time, price, size and side are what tells them apart."""
    assert forced(corrupt(liquidations())) == what


def test_a_venue_that_sends_only_some_misses_none() -> None:
    """Nobody can know which it did not send."""
    assert forced([*liquidations()[:3], *liquidations()[5:]], "binance_usdm") == []


def unnumbered(corrupt: Corrupt) -> list[str]:
    """The rules that are broken by a tape of trades without ids; two of them are the same but for the id that only the market knows."""
    true = market()
    times = [START + n // 2 * 100 * SECOND for n in range(10)]
    true.learn_trades({"id": n + 1, "ts": ts, "price": "100", "size": "2", "taker": "sell"} for n, ts in enumerate(times))
    checker = UnnumberedTrades(true, transit_ns=SECOND, skews_ns=(0,))
    checker.reads_on()
    events = corrupt([Trade(VENUE, NAME, ts, ts + LATE, Decimal(100), Decimal(2), Side.SELL, str(n)) for n, ts in enumerate(times)])
    violations: list[Violation] = []
    for event in events:
        if isinstance(event, GapEvent):
            checker.gap(event)
        else:
            violations += checker.take(event)
    return [violation.what for violation in (*violations, *checker.done())]


@pytest.mark.parametrize(
    ("corrupt", "what"),
    [
        (lambda events: events, []),
        (lambda events: events[3:], []),
        (lambda events: [*events[:3], *events[4:]], ["trades are missing"]),
        (lambda events: [*events, events[3]], ["a trade is there again"]),
        (lambda events: changed(events, 3, size=Decimal(3)), ["a trade never was", "trades are missing"]),
        (lambda events: changed(events, 3, venue_ts=START - SECOND), ["a trade never was", "trades are missing"]),
        (lambda events: [*events[:2], *events[6:], gap(1, 5, "trade")], []),
        (lambda events: [*events[:2], *events[6:], gap(0, 1, "trade")], ["trades are missing"]),
    ],
)
def test_a_trade_without_an_id_is_there_once_or_in_a_gap(corrupt: Corrupt, what: list[str]) -> None:
    """As often as it was made, if several were the same."""
    assert unnumbered(corrupt) == what
