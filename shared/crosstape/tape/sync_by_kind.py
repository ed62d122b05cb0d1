"""The subscriptions of a blocking tape, one method for each kind of event: those of `ByKind`, with the same parameters."""

from __future__ import annotations

from typing import Any

from crosstape.bus import Start
from crosstape.tape.losses import OnMissed
from crosstape.tape.source import Starts
from crosstape.tape.sync_subscription import SyncSubscription
from crosstape_schemas import (
    CONSOLIDATED,
    Bar,
    Book,
    Candle,
    Cbbo,
    Delta,
    Depth,
    Edge,
    Funding,
    Gap,
    Liquidation,
    Mark,
    OpenInterest,
    Quote,
    Status,
    Ticker,
    Trade,
)


class SyncByKind:
    """Methods that subscribe to one kind of event. What their parameters mean: `SyncTape.events`."""

    def _subscribe(
        self, kind: str, instruments: tuple[str, ...], *, venue: str | None, start: Starts, newest: bool, on_missed: OnMissed | None
    ) -> SyncSubscription[Any]:
        raise NotImplementedError

    def trades(
        self,
        *instruments: str,
        venue: str | None = None,
        start: Starts = Start.NOW,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[Trade]:
        """Trades: price in quote per base, size in base units, each trade once."""
        return self._subscribe("trade", instruments, venue=venue, start=start, newest=False, on_missed=on_missed)

    def quotes(
        self,
        *instruments: str,
        venue: str | None = None,
        start: Starts = Start.NOW,
        newest: bool = False,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[Quote]:
        """Best bid and ask of each venue: prices in quote per base, sizes in base units."""
        return self._subscribe("quote", instruments, venue=venue, start=start, newest=newest, on_missed=on_missed)

    def books(
        self,
        *instruments: str,
        venue: str | None = None,
        start: Starts = Start.NOW,
        newest: bool = False,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[Book]:
        """The best levels of each venue's book, best first."""
        return self._subscribe("book", instruments, venue=venue, start=start, newest=newest, on_missed=on_missed)

    def deltas(
        self,
        *instruments: str,
        venue: str | None = None,
        start: Starts = Start.NOW,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[Delta]:
        """Raw changes of venues' books; only where a connector publishes them (`kinds` names `delta`)."""
        return self._subscribe("delta", instruments, venue=venue, start=start, newest=False, on_missed=on_missed)

    def tickers(
        self,
        *instruments: str,
        venue: str | None = None,
        start: Starts = Start.NOW,
        newest: bool = False,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[Ticker]:
        """Rolling 24 hours, as venues count them."""
        return self._subscribe("ticker", instruments, venue=venue, start=start, newest=newest, on_missed=on_missed)

    def marks(
        self,
        *instruments: str,
        venue: str | None = None,
        start: Starts = Start.NOW,
        newest: bool = False,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[Mark]:
        """Mark and index prices of derivatives."""
        return self._subscribe("mark", instruments, venue=venue, start=start, newest=newest, on_missed=on_missed)

    def funding(
        self,
        *instruments: str,
        venue: str | None = None,
        start: Starts = Start.NOW,
        newest: bool = False,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[Funding]:
        """Funding rates of perpetuals."""
        return self._subscribe("funding", instruments, venue=venue, start=start, newest=newest, on_missed=on_missed)

    def open_interest(
        self,
        *instruments: str,
        venue: str | None = None,
        start: Starts = Start.NOW,
        newest: bool = False,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[OpenInterest]:
        """Open interest of derivatives."""
        return self._subscribe("open_interest", instruments, venue=venue, start=start, newest=newest, on_missed=on_missed)

    def liquidations(
        self,
        *instruments: str,
        venue: str | None = None,
        start: Starts = Start.NOW,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[Liquidation]:
        """Liquidations, as venues publish them."""
        return self._subscribe("liquidation", instruments, venue=venue, start=start, newest=False, on_missed=on_missed)

    def statuses(
        self,
        *instruments: str,
        venue: str | None = None,
        start: Starts = Start.NOW,
        newest: bool = False,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[Status]:
        """How far feeds can be relied on. With `*` also those of whole venues, which repeat about once a second as a sign of life."""
        return self._subscribe("status", instruments, venue=venue, start=start, newest=newest, on_missed=on_missed)

    def gaps(
        self,
        *instruments: str,
        venue: str | None = None,
        start: Starts = Start.NOW,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[Gap]:
        """What is missing on the tape, and why. With `*` also gaps of whole venues."""
        return self._subscribe("gap", instruments, venue=venue, start=start, newest=False, on_missed=on_missed)

    def cbbo(
        self,
        *instruments: str,
        start: Starts = Start.NOW,
        newest: bool = False,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[Cbbo]:
        """Consolidated best bid and offer across venues, with the legs and why one is excluded."""
        return self._subscribe("cbbo", instruments, venue=None, start=start, newest=newest, on_missed=on_missed)

    def depth(
        self,
        *instruments: str,
        start: Starts = Start.NOW,
        newest: bool = False,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[Depth]:
        """Consolidated depth across venues, with sweep prices."""
        return self._subscribe("depth", instruments, venue=None, start=start, newest=newest, on_missed=on_missed)

    def edges(
        self,
        *instruments: str,
        start: Starts = Start.NOW,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[Edge]:
        """Edges between venues after fees: one event when one opens, changes and closes."""
        return self._subscribe("edge", instruments, venue=None, start=start, newest=False, on_missed=on_missed)

    def candles(
        self,
        instrument: str,
        timeframe: str,
        *,
        venue: str | None = None,
        start: Starts = Start.NOW,
        newest: bool = False,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[Candle]:
        """Candles as venues publish them: while they are open, with each change, then closed. `timeframe`: one of `TIMEFRAMES`."""
        return self._subscribe(f"candle:{timeframe}", (instrument,), venue=venue, start=start, newest=newest, on_missed=on_missed)

    def bars(
        self,
        instrument: str,
        timeframe: str,
        *,
        venue: str | None = CONSOLIDATED,
        start: Starts = Start.NOW,
        newest: bool = False,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[Bar]:
        """Bars built from the trades on the tape: while they are open, then closed, then each revision. Without another `venue` those of
        all venues together; None: those, and those of each venue. `timeframe`: one of `TIMEFRAMES`.
        """
        return self._subscribe(f"bar:{timeframe}", (instrument,), venue=venue, start=start, newest=newest, on_missed=on_missed)
