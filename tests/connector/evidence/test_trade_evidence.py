"""How trade ids count, and whose side trades have."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from crosstape_connector.evidence.finding import Finding, Verdict
from crosstape_connector.evidence.trades import TradeEvidence
from crosstape_connector.evidence.values import ValueEvidence
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import FeedState, Funding, Mark, Quote, Side, Trade

NOW = 1_767_225_600_000_000_000


def quote(ts: int) -> Quote:
    """100 against 101."""
    return Quote("kraken", "BTC-USD", ts, ts, Decimal(100), Decimal(1), Decimal(101), Decimal(1), FeedState.LIVE)


def trade(number: object, price: str = "101", taker: Side | None = Side.BUY, ts: int = NOW) -> Trade:
    """A trade."""
    return Trade("kraken", "BTC-USD", ts, ts, Decimal(price), Decimal(1), taker, str(number))


def findings(rule: str, *trades: Trade) -> dict[str, Finding]:
    """The rows by their subject."""
    evidence = TradeEvidence(msgspec.structs.replace(VENUES["kraken"], trade_ids=rule))
    evidence.quote(quote(NOW))
    for one in trades:
        evidence.trade(one)
    return {one.subject: one for one in evidence.findings()}


@pytest.mark.parametrize(
    ("rule", "ids", "verdict"),
    [
        ("contiguous", (1, 2, 3), Verdict.HOLDS),
        ("contiguous", (1, 3), Verdict.BROKEN),
        ("increasing", (1, 3, 9), Verdict.HOLDS),
        ("increasing", (3, 1), Verdict.BROKEN),
        ("none", ("a-1", "b-2"), Verdict.NOTED),
        ("contiguous", (7,), Verdict.NOT_SEEN),
    ],
)
def test_ids_are_held_against_the_rule(rule: str, ids: tuple[object, ...], verdict: Verdict) -> None:
    """One trade shows nothing; ids that are no numbers have no order."""
    assert findings(rule, *map(trade, ids))["ids"].verdict is verdict


def test_a_makers_side_is_found_from_the_quotes() -> None:
    """Whoever trades at the ask is a taker who buys."""
    assert findings("none", trade(1), trade(2, "100", Side.SELL))["side"].verdict is Verdict.HOLDS
    assert findings("none", trade(1, "101", Side.SELL), trade(2, "100", Side.BUY))["side"].verdict is Verdict.BROKEN


def test_a_trade_without_a_fresh_quote_shows_no_side() -> None:
    """The quote is three seconds old."""
    assert findings("none", trade(1, ts=NOW + 3_000_000_000))["side"].verdict is Verdict.NOT_SEEN


def test_an_index_in_other_units_is_found() -> None:
    """A hundred times the price."""
    evidence = ValueEvidence()
    evidence.trade(trade(1))
    evidence.value(Mark("kraken", "BTC-USD-PERP", NOW, NOW, Decimal("101.5"), Decimal(10150)))
    evidence.value(Funding("kraken", "BTC-USD-PERP", NOW, NOW, Decimal("0.0001"), 28_800, NOW - 1))
    verdicts = {one.subject: one.verdict for one in evidence.findings()}
    assert verdicts == {"mark price": Verdict.HOLDS, "index price": Verdict.BROKEN, "funding": Verdict.BROKEN}
