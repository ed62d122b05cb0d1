"""Venues as a whole: whether their connectors live, and which start of them is the present one."""

from __future__ import annotations

from crosstape_schemas import VENUE_WIDE, FeedState, Status

LIVE = FeedState.LIVE


class VenueLife:
    """One venue, shared by its legs in all instruments."""

    __slots__ = ("alive_ts", "epoch", "instruments", "state", "venue")

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self.epoch = 0
        """The newest that any event of the venue had: its connector's last start."""
        self.state = LIVE
        """Venue-wide. Only `down` overrules what the feeds say of themselves: of a venue that is partly well, each feed knows best."""
        self.alive_ts = 0
        """`received_ts` of the last sign of life of this epoch."""
        self.instruments: set[str] = set()
        """Where the venue has been seen."""


class Venues:
    """All venues, and which of them have just changed in a way that concerns every leg they have."""

    __slots__ = ("_lives", "_stale_ns", "stirred")

    def __init__(self, stale_ns: int) -> None:
        self._lives: dict[str, VenueLife] = {}
        self._stale_ns = stale_ns
        self.stirred: set[str] = set()
        """Venues whose instruments must all be judged anew; whoever does so clears it."""

    def life(self, venue: str) -> VenueLife:
        """That venue's, known or new."""
        life = self._lives.get(venue)
        if life is None:
            life = self._lives[venue] = VenueLife(venue)
        return life

    def admits(self, life: VenueLife, epoch: int) -> bool:
        """Whether an event of this epoch is of the present; a newer epoch begins the venue anew."""
        if epoch > life.epoch:
            if life.epoch:
                self.stirred.add(life.venue)
            life.epoch, life.state, life.alive_ts = epoch, LIVE, 0
        return epoch == life.epoch

    def take(self, status: Status, now: int) -> bool:
        """Take a venue-wide status: the venue's sign of life while it says live. False: of an older epoch, and ignored.

        Legs go stale by our clock, so it tells whether any may have: signs of life that an outage held back come all at once.
        """
        life = self.life(status.venue)
        if not self.admits(life, status.epoch):
            return False
        if status.kind != VENUE_WIDE:
            return True  # of one kind of feeds: each of them says it itself
        if status.state is not life.state:
            life.state = status.state
            self.stirred.add(life.venue)
        if status.state is LIVE:
            if now - life.alive_ts >= self._stale_ns:
                self.stirred.add(life.venue)
            life.alive_ts = max(life.alive_ts, status.received_ts)
        return True
