"""Holds what an audit finds: differences with their inputs, and how many values were compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_schemas import KIND_OF, Event, encode

KEPT: Final = 1_000
"""Most differences that are kept; the others are only counted."""
MAX_TEXT: Final = 4_000
"""Longest text of one input in a difference."""


class Difference(msgspec.Struct, frozen=True):
    """One published value that is not what the method gives."""

    kind: str
    """What was audited: `cbbo`, `window`, `bar`, `depth` or `edge`."""
    event: str
    """Names the published event: its kind, instrument, venue, epoch, `seq` and id."""
    field: str
    published: str
    computed: str
    inputs: tuple[str, ...]
    """The events that it was computed from: id and JSON."""
    ms: int = 0
    """The id (ms) of the published event."""
    instrument: str = ""


class Group(msgspec.Struct):
    """The differences of one kind and instrument: one cause usually shows in many of them."""

    first: Difference
    count: int
    last_ms: int
    """The id (ms) of the last event that differs."""


class Audit:
    """Collects the findings of one audit."""

    def __init__(self) -> None:
        self.differences: list[Difference] = []
        """The first `KEPT` of them."""
        self.groups: dict[tuple[str, str], Group] = {}
        """Kind and instrument → all their differences, in the order of their first ones."""
        self.differs: Counter[str] = Counter()
        """Kind → number of differences."""
        self.exact: Counter[str] = Counter()
        """Kind → values that were computed and compared digit by digit."""
        self.justified: Counter[str] = Counter()
        """Kind → values that the recorded inputs allow, but do not determine: they depend on when the inputs arrived."""
        self.unchecked: Counter[tuple[str, str]] = Counter()
        """(Kind, reason) → values that could not be checked."""
        self.events: Counter[str] = Counter()
        """Kind → published events."""

    def add(self, other: Audit) -> None:
        """Add the findings of another audit, of another instrument."""
        self.differences += other.differences[: KEPT - len(self.differences)]
        self.groups.update(other.groups)
        for mine, its in ((self.differs, other.differs), (self.exact, other.exact), (self.justified, other.justified)):
            mine.update(its)
        self.unchecked.update(other.unchecked)
        self.events.update(other.events)

    def retract(self, kinds: Collection[str], from_ms: int, reason: str) -> None:
        """Take differences of events that were published since then back: they could not be checked after all."""
        taken = [one for one in self.differences if one.kind in kinds and one.ms >= from_ms]
        self.differences = [one for one in self.differences if one not in taken]
        for one in taken:
            self.differs[one.kind] -= 1
            self.unchecked[one.kind, reason] += 1
            self._leave(one)
        self.differs += Counter()  # without those that are 0

    def _leave(self, taken: Difference) -> None:
        """Take a difference out of its group: those that stay are older."""
        group = self.groups[taken.kind, taken.instrument]
        group.count -= 1
        if not group.count:
            del self.groups[taken.kind, taken.instrument]
        elif group.last_ms >= taken.ms:
            stay = (one.ms for one in self.differences if (one.kind, one.instrument) == (taken.kind, taken.instrument))
            group.last_ms = max(stay, default=group.first.ms)

    def only(self, kinds: Collection[str]) -> Audit:
        """Return the findings of these kinds."""
        found = Audit()
        found.differences = [one for one in self.differences if one.kind in kinds]
        found.groups = {key: group for key, group in self.groups.items() if key[0] in kinds}
        for mine, its in (
            (self.differs, found.differs), (self.exact, found.exact), (self.justified, found.justified), (self.events, found.events),
        ):  # fmt: skip
            its.update({kind: count for kind, count in mine.items() if kind in kinds})
        found.unchecked.update({key: count for key, count in self.unchecked.items() if key[0] in kinds})
        return found

    @property
    def compared(self) -> int:
        """How many values were compared, exactly or as justified, or differ."""
        return sum(self.exact.values()) + sum(self.justified.values()) + sum(self.differs.values())

    def differ(self, found: Difference) -> None:
        """Add a difference."""
        self.differs[found.kind] += 1
        group = self.groups.get((found.kind, found.instrument))
        if group is None:
            self.groups[found.kind, found.instrument] = Group(found, 1, found.ms)
        else:
            group.count, group.last_ms = group.count + 1, max(group.last_ms, found.ms)
        if len(self.differences) < KEPT:
            self.differences.append(found)


class Check:
    """Compares the values of one published event."""

    __slots__ = ("_audit", "_event", "_exact", "_id", "_inputs", "_justified", "_kind", "_ms")

    def __init__(self, audit: Audit, kind: str, event: Event, entry_id: str, inputs: Callable[[], Sequence[str]] = tuple) -> None:
        """`inputs` is called when a value differs."""
        self._ms = int(entry_id.partition("-")[0])
        self._audit = audit
        self._kind = kind
        self._event = event
        self._id = entry_id
        self._inputs = inputs
        self._exact = self._justified = 0
        audit.events[kind] += 1

    def same(self, field: str, published: object, computed: object, inputs: Sequence[str] | None = None) -> bool:
        """Compare one value digit by digit. Returns whether it is the same."""
        if same(published, computed):
            self._exact += 1
            return True
        self.wrong(field, published, computed, inputs)
        return False

    def holds(self, is_true: bool, field: str, published: object, computed: object, *, exact: bool = True) -> bool:
        """Note whether a published value is as the method says. `exact`: the inputs determine it; else they only allow it."""
        if not is_true:
            self.wrong(field, published, computed)
        elif exact:
            self._exact += 1
        else:
            self._justified += 1
        return is_true

    def wrong(self, field: str, published: object, computed: object, inputs: Sequence[str] | None = None) -> None:
        """Note a difference."""
        found = self._inputs() if inputs is None else inputs
        event = named(self._event, self._id)
        self._audit.differ(
            Difference(self._kind, event, field, shown(published), shown(computed), tuple(found), self._ms, self._event.instrument)
        )

    def unchecked(self, reason: str, count: int = 1) -> None:
        """Note values that cannot be checked."""
        self._audit.unchecked[self._kind, reason] += count

    def exactly(self, count: int) -> None:
        """Count values that were compared and are the same."""
        self._exact += count

    def agrees(self, count: int, *, exact: bool) -> None:
        """Count values that are the same. `exact`: the inputs determine them; else they only allow them."""
        if exact:
            self._exact += count
        else:
            self._justified += count

    def done(self) -> None:
        """Add the counts to the audit."""
        self._audit.exact[self._kind] += self._exact
        self._audit.justified[self._kind] += self._justified
        self._exact = self._justified = 0


def same(published: object, computed: object) -> bool:
    """Whether two values are the same, of decimals every digit: `1.0` is not `1.00`."""
    if type(published) is Decimal and type(computed) is Decimal:
        return published.compare_total(computed) == 0
    return published == computed


def same_numbers(published: Sequence[Decimal | None], computed: Sequence[Decimal | None]) -> bool:
    """Whether two rows of numbers are the same, every digit."""
    for one, other in zip(published, computed, strict=True):
        if one is not other and (one is None or other is None or one.compare_total(other) != 0):
            return False
    return True


def shown(value: object) -> str:
    """Return a value as text: decimals in plain notation."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, str):
        return str(value)
    if isinstance(value, tuple | list | set | frozenset):
        return f"({', '.join(map(shown, value))})"
    return "null" if value is None else str(value)


def named(event: Event, entry_id: str) -> str:
    """Return the name of a published event."""
    kind = KIND_OF[type(event)]
    timeframe = getattr(event, "timeframe", None)
    ts = getattr(event, "open_ts" if timeframe else "ts", None)
    what = f"{kind}:{timeframe}" if timeframe else kind
    when = "" if ts is None else f" {'open_ts' if timeframe else 'ts'} {ts}"
    return f"{what} {event.instrument} {event.venue} epoch {event.epoch} seq {event.seq} id {entry_id}{when}"


def text_of(event: Event, ms: int, n: int) -> str:
    """Return an input as it is shown in a difference: its id and its JSON."""
    return f"{ms}-{n} {encode(event).decode()}"[:MAX_TEXT]
