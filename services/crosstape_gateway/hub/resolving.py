"""Finds which topics of the tape a client means, and says which of them the tape does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from crosstape.settings.words import nearest
from crosstape_gateway.hub.catalogue import Catalogue
from crosstape_gateway.messages import Failed
from crosstape_gateway.symbols import SHOWN, Names
from crosstape_gateway.topics import VENUE, Topic
from crosstape_schemas import CONSOLIDATED, TIMEFRAMES

CODE: Final = "not_on_tape"
RARE: Final = frozenset({"gap", "liquidation", "edge"})
"""Kinds that an instrument may rightly have none of: it has no such stream until the first one happens."""
NEAREST: Final = 3
"""Most topics that one message proposes."""
GUESSES: Final = 5
"""For so many topics of one request the nearest names are looked for: it takes a moment where the tape has thousands."""


class Resolver:
    """Reads topics by what the catalogue has."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._names = Names(())
        self._streams = 0

    @property
    def names(self) -> Names:
        """The instruments that the tape has. Streams that have been seen stay, so their number says whether there are new ones."""
        if self._streams != len(self._catalogue.streams):
            self._streams = len(self._catalogue.streams)
            self._names = Names(self._catalogue.instruments)
        return self._names

    def knows(self, topics: Iterable[Topic]) -> bool:
        """Whether the tape has the streams of all these topics."""
        return all(topic.is_pattern or (topic.kind, topic.instrument) in self._catalogue.streams for topic in topics)

    def resolve(self, topics: Iterable[Topic]) -> dict[Topic, Topic]:
        """Returns for each topic the one that it means. Raises `RequestError` if several instruments may be meant."""
        return {topic: self._resolved(topic) for topic in topics}

    def notices(self, topics: Iterable[Topic]) -> Iterator[Failed]:
        """Yields a message for each topic that the tape has nothing of."""
        guesses = GUESSES
        for topic in sorted(topics):
            if topic.is_pattern or (notice := self._notice(topic, guess=guesses > 0)) is None:
                continue
            guesses -= 1
            yield notice

    def _resolved(self, topic: Topic) -> Topic:
        if topic.is_pattern or topic.kind == VENUE:
            return topic
        return Topic(topic.kind, self.names.resolve(topic.instrument), topic.venue)

    def _notice(self, topic: Topic, *, guess: bool) -> Failed | None:
        kind, name = topic.kind, topic.instrument
        streams = self._catalogue.streams
        if (kind, name) in streams:
            return self._venue_notice(topic)
        if kind == VENUE:
            return self._unknown_venue(topic, name, lambda venue: Topic(VENUE, venue))
        if name not in self.names.all:
            near = [Topic(kind, one, topic.venue) for one in self.names.nearest(name, NEAREST)] if guess else []
            return _not_on_tape(topic, f"the tape has no instrument {name[:SHOWN]!r} yet", near, "see /api/instruments")
        if kind in RARE:
            return None
        tag, _, timeframe = kind.partition(":")
        if not timeframe:
            kinds = ", ".join(sorted({one.partition(":")[0] for one, of in streams if of == name}))
            return _not_on_tape(topic, f"the tape has no {kind} of {name} yet; it has {kinds}", [], "")
        frames = [frame for frame in TIMEFRAMES if (f"{tag}:{frame}", name) in streams]
        near = [Topic(f"{tag}:{frame}", name, topic.venue) for frame in frames]
        has = f"it has {', '.join(frames)}" if frames else f"it has no {tag} of any timeframe"
        return _not_on_tape(topic, f"the tape has no {tag} of {timeframe} of {name} yet; {has}", near, "")

    def _venue_notice(self, topic: Topic) -> Failed | None:
        """Returns a message where the stream is there, and the tape has no such venue."""
        venues = self._catalogue.venues
        if not topic.venue or not venues or topic.venue in (*venues, CONSOLIDATED):
            return None
        return self._unknown_venue(topic, topic.venue, lambda venue: Topic(topic.kind, topic.instrument, venue))

    def _unknown_venue(self, topic: Topic, venue: str, with_venue: Callable[[str], Topic]) -> Failed:
        found = nearest(venue[:SHOWN], self._catalogue.venues)
        return _not_on_tape(topic, f"the tape has no venue {venue[:SHOWN]!r} yet", [with_venue(found)] if found else [], "see /api/venues")


def _not_on_tape(topic: Topic, what: str, near: list[Topic], otherwise: str) -> Failed:
    names = tuple(map(str, near))
    hint = f"did you mean {' or '.join(names)}?" if names else otherwise
    text = f"{topic}: {what}{f'; {hint}' if hint else ''}. It is followed, and comes as soon as the tape has it"
    return Failed(CODE, text, topic=str(topic), nearest=names)
