"""Makes trades as a recorder meets them: several instruments and venues, each with its own digits, ids, clock and bursts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from crosstape_schemas import Side, Trade, encode

START = 1_764_500_000_000_000_000
EPOCH = START - 86_400_000_000_000
SECOND = 1_000_000_000


class Style(msgspec.Struct, frozen=True):
    """How one venue writes its trades."""

    share: int
    """Its part of all trades."""
    unit_ns: int
    """Resolution of its clock."""
    pad_size: bool
    """Whether it writes zeros up to the last decimal of a size."""
    first_id: int
    id_step: int
    """Ids grow by 1 … this."""
    delay_ns: int
    """Shortest time from its clock to ours."""


STYLES = {
    "binance": Style(55, 1_000_000, True, 5_500_000_000, 1, 8_000_000),
    "okx": Style(18, 1_000_000, False, 870_000_000, 1, 12_000_000),
    "bybit": Style(15, 1_000_000, False, 2_290_000_000_068_457_783, 40, 14_000_000),
    "coinbase": Style(8, 1_000, True, 910_000_000, 1, 45_000_000),
    "kraken": Style(4, 1_000, True, 92_000_000, 1, 30_000_000),
}
MARKETS = {  # price, price's decimals, size's decimals, typical size, share
    "BTC-USDT": (67_000.0, 2, 5, 0.01, 40),
    "ETH-USDT": (3_400.0, 2, 4, 0.2, 25),
    "SOL-USDT": (150.0, 2, 3, 3.0, 15),
    "XRP-USDT": (0.6, 4, 1, 500.0, 10),
    "DOGE-USDT": (0.12, 5, 0, 2_000.0, 6),
    "ADA-USDT": (0.45, 4, 1, 400.0, 4),
}


def trades(count: int, rate: int = 2_000, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yields `count` trades as (id of the stream's entry, JSON), in the order of their receipt, about `rate` a second.

    One order often makes several trades: at the same time of the venue, at the same price or a tick further.
    """
    dice = random.Random(seed)
    names, venues = list(MARKETS), list(STYLES)
    name_weights = [market[4] for market in MARKETS.values()]
    venue_weights = [style.share for style in STYLES.values()]
    prices = {name: market[0] for name, market in MARKETS.items()}
    ids = {(venue, name): style.first_id + 7_919 * i for venue, style in STYLES.items() for i, name in enumerate(names)}
    seqs = dict.fromkeys(ids, 0)
    now, made = START, 0
    last_ms, entry_number = 0, 0
    while made < count:
        (name,), (venue,) = dice.choices(names, name_weights), dice.choices(venues, venue_weights)
        style, (_, decimals, places, typical, _) = STYLES[venue], MARKETS[name]
        prices[name] *= 1 + dice.gauss(0, 0.00003)
        fills = min(count - made, 1 + min(12, int(dice.expovariate(0.7))))
        now += int(dice.expovariate(rate / 2 / SECOND))
        at = (now - style.delay_ns - int(dice.expovariate(1 / 3_000_000))) // style.unit_ns * style.unit_ns
        side = dice.choice((Side.BUY, Side.SELL))
        tick = 10**-decimals
        price = prices[name]
        received = now
        for _ in range(fills):
            received += dice.randrange(3_000, 25_000)
            key = (venue, name)
            ids[key] += dice.randint(1, style.id_step)
            seqs[key] += 1
            amount = max(10**-places, dice.lognormvariate(0, 1.6) * typical)
            size = f"{amount:.{places}f}"
            if style.pad_size:
                size = f"{Decimal(size):.8f}"
            elif "." in size:
                size = size.rstrip("0").rstrip(".") or f"{tick}"
            event = Trade(
                venue=venue, instrument=name, venue_ts=at, received_ts=received,
                price=Decimal(f"{price:.{decimals}f}"), size=Decimal(size) or Decimal(1), taker=side, trade_id=str(ids[key]),
                epoch=EPOCH + venues.index(venue) * 1_234_567_891, seq=seqs[key],
            )  # fmt: skip
            ms = (received + 400_000) // 1_000_000
            entry_number = entry_number + 1 if ms == last_ms else 0
            last_ms = ms
            yield f"{ms}-{entry_number}", encode(event)
            made += 1
            if dice.random() < 0.3:
                price += tick if side is Side.BUY else -tick
        now = received
