"""Audits the legs of consolidated quotes: their prices by the events that they name, their states and exclusions by what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from typing import Final

from crosstape_recorder.audit.best import crosses, outliers_of
from crosstape_recorder.audit.feed_states import LIVE, FeedStates, any_of
from crosstape_recorder.audit.findings import Check, same_numbers
from crosstape_recorder.audit.moments import Moment
from crosstape_recorder.audit.price_stream import Input, PriceStream
from crosstape_recorder.audit.rules import MS, Rules
from crosstape_recorder.audit.settling import Settling
from crosstape_schemas import Cbbo, Exclusion, Leg

NOT_RECORDED: Final = "an event that a leg names is not in the recording"
NO_STATUS: Final = "statuses from before are not in the recording"
OWN_FAULTS: Final = frozenset({Exclusion.STATE, Exclusion.STALE, Exclusion.EMPTY, Exclusion.CROSSED})
SILENT_NS: Final = 250_000_000
"""Shortest silence of a suspect leg."""
MOST_SUSPECTS: Final = 5
"""Legs that became suspect in one quote, of which all orders are tried."""

Named = Mapping[str, Input]
"""Venue → the event that its leg names."""


class Legs:
    """The legs of one instrument, from quote to quote."""

    def __init__(self, rules: Rules, quotes: PriceStream, books: PriceStream, states: Mapping[str, FeedStates]) -> None:
        self._rules = rules
        self._streams = {"quote": quotes, "book": books}
        self._states = states
        self._epoch = 0
        self._settling: dict[str, Settling] = {}
        self._named: dict[str, Input] = {}
        self.transit_ns: dict[str, int] = {}
        """Venue → the shortest time from a connector's clock to the id of its status, ns, as far as it was measured."""
        self.publishing_ns = 0
        """The shortest time from the `ts` of a quote to its id, ns."""

    def named(self, quote: Cbbo) -> Named:
        """Return the recorded events that the legs name."""
        found = {}
        for leg in quote.legs:
            stream = self._streams.get(leg.kind)
            one = stream.get(leg.venue, leg.epoch, leg.seq) if leg.seq and stream is not None else None
            if one is not None:
                found[leg.venue] = one
        return found

    def unread(self, quote: Cbbo, named: Named) -> Sequence[Input]:
        """Return of each stream the first entry that was not read, as far as the legs show it."""
        places = self._places(quote, named)
        found = []
        for leg in quote.legs:
            one = named.get(leg.venue)
            if one is not None:
                following = one.next
                while following is not None and following.place <= places[leg.kind]:
                    following = following.next
                if following is not None:
                    found.append(following)
        return found

    @staticmethod
    def _places(quote: Cbbo, named: Named) -> dict[str, tuple[int, int]]:
        """Return how far each stream must have been read."""
        places: dict[str, tuple[int, int]] = {}
        for leg in quote.legs:
            one = named.get(leg.venue)
            if one is not None:
                places[leg.kind] = max(places.get(leg.kind, (0, 0)), one.place)
        return places

    def take(self, check: Check, quote: Cbbo, named: Named, at: Moment) -> None:
        """Audit the legs of the next quote."""
        if quote.epoch != self._epoch:
            self._epoch, self._settling, self._named = quote.epoch, {}, {}
        for kind, stream in self._streams.items():
            stream.keep("cbbo", [(leg.venue, leg.epoch, leg.seq) for leg in quote.legs if leg.kind == kind and leg.seq])
        venues = [leg.venue for leg in quote.legs]
        check.holds(venues == sorted(set(venues)), "legs", venues, "one leg for each venue, in the order of their names")
        places = self._places(quote, named)
        for leg in quote.legs:
            one = named.get(leg.venue)
            self._prices(check, leg, one, places)
            self._state(check, leg, one, at)
            self._own_faults(check, leg, one, at)
        judged = [leg for leg in quote.legs if leg.excluded not in OWN_FAULTS]
        outliers = outliers_of(judged, self._rules.outlier_bps)
        shown = frozenset(leg.venue for leg in judged if leg.excluded is Exclusion.OUTLIER)
        check.holds(shown == outliers, "legs.excluded: outlier", sorted(shown), sorted(outliers))
        self._suspects(check, quote, named, at)
        for leg in quote.legs:
            self._settles(check, leg, named.get(leg.venue), at)
        self._named = dict(named)

    def _prices(self, check: Check, leg: Leg, one: Input | None, places: Mapping[str, tuple[int, int]]) -> None:
        """A leg has the prices of the event that it names, which is the newest of its venue that was read."""
        field = f"legs.{leg.venue}"
        if not leg.seq:
            nothing = leg.bid_price is None and leg.ask_price is None and leg.quote_ts is None
            check.holds(nothing, field, (leg.bid_price, leg.ask_price), "no prices: it names no event")
            return
        if one is None:
            check.unchecked(NOT_RECORDED, 5)
            return
        (bid, bid_size), (ask, ask_size) = one.sides
        said, computed = (leg.bid_price, leg.bid_size, leg.ask_price, leg.ask_size), (bid, bid_size, ask, ask_size)
        if same_numbers(said, computed):
            check.exactly(4)
        else:
            for name, mine, its in zip(("bid_price", "bid_size", "ask_price", "ask_size"), said, computed, strict=True):
                check.same(f"{field}.{name}", mine, its, [one.text()])
        check.same(f"{field}.quote_ts", leg.quote_ts, one.event.received_ts)
        following = one.next
        if following is not None and following.place <= places[leg.kind]:
            check.wrong(f"{field}.seq", leg.seq, following.event.seq, [one.text(), following.text()])

    def _state(self, check: Check, leg: Leg, one: Input | None, at: Moment) -> None:
        states = self._states.get(leg.venue)
        if states is None or not states.is_known(at) or (one is None and leg.seq):
            check.unchecked(NO_STATUS)
            return
        found = states.leg_states(one, leg.kind, at)
        if leg.state not in found and not states.has_all:
            check.unchecked(NO_STATUS)
            return
        check.holds(leg.state in found, f"legs.{leg.venue}.state", leg.state, any_of(list(found)), exact=len(found) == 1)

    def _own_faults(self, check: Check, leg: Leg, one: Input | None, at: Moment) -> None:
        """The reasons that need no other leg, in their order."""
        field, excluded = f"legs.{leg.venue}.excluded", leg.excluded
        if (excluded is Exclusion.STATE) is not (leg.state is not LIVE):
            check.wrong(field, excluded, f"state if and only if its state, {leg.state}, is not live")
            return
        check.exactly(1)
        if excluded is Exclusion.STATE:
            return
        self._stale(check, leg, one, at)
        if excluded is Exclusion.STALE:
            return
        bid, ask = leg.bid_price, leg.ask_price
        expected = Exclusion.EMPTY if bid is None and ask is None else None
        if bid is not None and ask is not None and bid >= ask:
            expected = Exclusion.CROSSED
        shown = excluded if excluded in {Exclusion.EMPTY, Exclusion.CROSSED} else None
        check.same(field, shown, expected)

    def _stale(self, check: Check, leg: Leg, one: Input | None, at: Moment) -> None:
        states = self._states.get(leg.venue)
        alive = states.alive_between(at) if states is not None and states.is_known(at) else None
        if alive is None or (one is None and leg.seq):
            check.unchecked(NO_STATUS)
            return
        received_ts = one.event.received_ts if one is not None else 0
        may_be = at.ts >= max(received_ts, alive[0]) + self._rules.stale_ns
        must_be = at.ts >= max(received_ts, alive[1]) + self._rules.stale_ns
        is_stale = leg.excluded is Exclusion.STALE
        because = f"newest event {received_ts}, newest sign of life {alive[0]} to {alive[1]}"
        is_true = may_be if is_stale else not must_be
        check.holds(is_true, f"legs.{leg.venue}.excluded", leg.excluded, f"stale: {not is_stale}; {because}", exact=may_be is must_be)

    def _suspects(self, check: Check, quote: Cbbo, named: Named, at: Moment) -> None:
        """A leg becomes suspect while it crosses legs that count, and its feed has been silent."""
        new = [leg for leg in quote.legs if self._settles_of(leg.venue).is_newly_suspect(leg, named.get(leg.venue))]
        old = sum(leg.excluded is Exclusion.SUSPECT for leg in quote.legs) - len(new)
        check.exactly(old)
        if not new:
            return
        for leg in new:
            one = named.get(leg.venue)
            if one is not None:
                least_ns = SILENT_NS + min(0, self.transit_ns.get(leg.venue, 0) - self.publishing_ns)
                silent_ns = at.ts - one.event.received_ts
                text = f"silent for {silent_ns} ns"
                check.holds(silent_ns >= least_ns - 2 * MS, f"legs.{leg.venue}.excluded", "suspect", text, exact=False)
        counting = [leg for leg in quote.legs if leg.excluded is None]
        is_possible = len(new) > MOST_SUSPECTS or any(_crossed_in_turn(order, counting) for order in permutations(new))
        check.holds(is_possible, "legs.excluded: suspect", [leg.venue for leg in new], "a leg that crosses others that count")

    def _settles_of(self, venue: str) -> Settling:
        found = self._settling.get(venue)
        if found is None:
            found = self._settling[venue] = Settling()
        return found

    def _settles(self, check: Check, leg: Leg, one: Input | None, at: Moment) -> None:
        verdict = self._settles_of(leg.venue).verdict(leg, one, at.ts, self._rules.settle_ns, lambda: self._had_fault(leg.venue, one, at))
        if verdict is not None:
            check.wrong(f"legs.{leg.venue}.excluded", leg.excluded, f"{verdict[0]}: {verdict[1]}")
        elif leg.excluded is None or leg.excluded is Exclusion.SETTLING:
            check.holds(True, "", None, None, exact=leg.excluded is None)

    def _had_fault(self, venue: str, one: Input | None, at: Moment) -> bool:
        """Whether a leg may have had a fault since the quote before: an event of it that is not good, or a state that is not live."""
        before = self._named.get(venue)
        if one is None or before is None or not one.is_good or not before.is_good:
            return True
        following = before.next
        while following is not None and following is not one and following.place < one.place:
            if not following.is_good:
                return True
            following = following.next
        states = self._states.get(venue)
        return states is None or states.had_fault(at._replace(sure_ms=at.sure_ms - self._rules.settle_ns // MS))


def _crossed_in_turn(order: Sequence[Leg], counting: Iterable[Leg]) -> bool:
    """Whether each of these crosses others while it and those after it count."""
    left = [*order, *counting]
    for leg in order:
        if leg not in crosses(left):
            return False
        left.remove(leg)
    return True
