"""Each lost event is counted at once, and reported in exactly one gap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosstape.bus.publish.losses import REPORT_S, Losses
from crosstape.bus.publish.stream import Queue, Stream
from crosstape_schemas import VENUE_WIDE, Gap, GapCause
from tests.bus.tape import BTC, ETH, KEYS, Counts, trade

CAUSES = (GapCause.BUS, GapCause.OVERFLOW)


def streams() -> list[Stream]:
    """Two, of trades."""
    queue = Queue()
    return [Stream(trade(1, name), KEYS, 1_000, queue) for name in (BTC, ETH)]


def told(losses: Losses, now_ts: int = 9) -> list[Gap]:
    """Returns the gaps of all streams."""
    found: list[Gap] = []
    while gaps := losses.stream_gaps(now_ts):
        found += gaps
    return found


@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from(CAUSES), st.integers(1, 50), st.integers(0, 50), st.integers(1, 9)), min_size=1)
)
def test_losses_are_joined_by_stream_and_cause(noted: list[tuple[int, GapCause, int, int, int]]) -> None:
    """One gap each, from the first to the last lost event, with the count; then nothing is left to report."""
    counts, known = Counts(), streams()
    losses = Losses(counts)
    for which, cause, from_ts, length, missed in noted:
        losses.note(known[which], cause, from_ts, from_ts + length, missed)
    assert losses.unreported("")
    gaps = told(losses)
    assert not losses.unreported("binance")
    by = {(gap.instrument, gap.cause): (gap.from_ts, gap.to_ts, gap.missed) for gap in gaps}
    assert len(by) == len(gaps)
    assert by == {
        (known[which].instrument, cause): (
            min(one[2] for one in noted if one[:2] == (which, cause)),
            max(one[2] + one[3] for one in noted if one[:2] == (which, cause)),
            sum(one[4] for one in noted if one[:2] == (which, cause)),
        )
        for which, cause in {one[:2] for one in noted}
    }
    assert all((gap.venue, gap.kind, gap.received_ts, gap.repaired) == ("binance", "trade", 9, False) for gap in gaps)
    for cause in CAUSES:
        assert counts.of[f"dropped trade {cause}"] == sum(one[4] for one in noted if one[1] is cause)


def test_streams_are_told_one_after_another() -> None:
    """Streams come in the order of their first loss: a caller with room for a few gaps can stop between them."""
    losses, (first, second) = Losses(Counts()), streams()
    losses.note(second, GapCause.OVERFLOW, 1, 1, 1)
    losses.note(first, GapCause.OVERFLOW, 2, 2, 1)
    losses.note(second, GapCause.OVERFLOW, 3, 3, 1)
    assert [gap.instrument for gap in losses.stream_gaps(9)] == [ETH]
    assert losses.unreported("binance")
    assert [gap.instrument for gap in losses.stream_gaps(9)] == [BTC]


def test_what_only_the_venue_is_known_of_waits_for_its_name() -> None:
    """A predecessor's spool may be damaged before anything of ours is published; a count that nobody knows counts as nothing."""
    counts = Counts()
    losses = Losses(counts)
    losses.note_venue_wide(3, 5)
    losses.note_venue_wide(None, 6)
    assert not losses.unreported("")
    assert losses.venue_gaps("", 0.0, 9) == []
    assert losses.unreported("binance")
    gaps = losses.venue_gaps("binance", 0.0, 9)
    assert not losses.unreported("binance")
    assert [(gap.instrument, gap.kind, gap.cause, gap.from_ts, gap.to_ts, gap.missed) for gap in gaps] == [
        (VENUE_WIDE, VENUE_WIDE, GapCause.BUS, 5, 9, 3),
        (VENUE_WIDE, VENUE_WIDE, GapCause.BUS, 6, 9, None),
    ]
    assert counts.of[f"dropped {VENUE_WIDE} bus"] == 3


def test_reports_keep_their_distance() -> None:
    """A long trouble is then reported in few gaps."""
    losses = Losses(Counts())
    losses.venue_gaps("binance", 100.0, 9)
    assert not losses.due(100.0 + REPORT_S / 2)
    assert losses.due(100.0 + REPORT_S)
