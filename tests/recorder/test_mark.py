"""How far a stream was read: what a start reads again, and what it leaves out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosstape.bus import Bookmark
from crosstape.history.text_events import TextEvent, decode
from crosstape_recorder.mark import EPOCHS, StreamMark, oldest
from crosstape_schemas import encode
from tests.bus.tape import trade


def event(seq: int, epoch: int = 1, venue: str = "binance") -> TextEvent:
    """A trade with a number."""
    return decode(encode(trade(seq, venue=venue)).replace(b'"epoch":0,"seq":0', b'"epoch":%d,"seq":%d' % (epoch, seq)))


def test_a_bookmark_is_what_was_read() -> None:
    """The id, and of each numbering the last number: those that were known before, and the new ones."""
    mark = StreamMark(Bookmark("5-0", (("kraken", 1, 7),)))
    mark.advance("6-0", event(1))
    mark.advance("6-1", event(2))
    mark.advance("7-0", event(8, venue="kraken"))

    assert mark.bookmark() == Bookmark("7-0", (("binance", 1, 2), ("kraken", 1, 8)))
    assert mark.venues == {"binance", "kraken"}
    assert mark.received_ts("binance") == 1_002
    assert mark.received_ts("coinbase") == 7_000_000


@given(st.lists(st.integers(1, 4), min_size=1, max_size=60), st.integers(0, 60))
def test_what_the_history_has_is_left_out(epochs: list[int], had: int) -> None:
    """Whatever the reader starts with: each event up to the mark is in the history, and none behind it."""
    seqs: dict[int, int] = {}
    entries: list[tuple[str, TextEvent]] = []
    for place, epoch in enumerate(epochs):
        seqs[epoch] = seqs.get(epoch, 0) + 1
        entries.append((f"{place + 1}-0", event(seqs[epoch], epoch)))
    mark = StreamMark()
    for entry_id, one in entries[:had]:
        mark.advance(entry_id, one)
    again = StreamMark(mark.bookmark()) if had else StreamMark()
    new = []
    for entry_id, one in entries:
        if not again.has_read(entry_id, one):
            again.advance(entry_id, one)
            new.append(entry_id)

    assert new == [entry_id for entry_id, _ in entries[had:]]


def test_what_came_again_under_other_ids_is_left_out() -> None:
    """A server that lost data gets it again: the numbers say that it is the same."""
    mark = StreamMark(Bookmark("9-0", (("binance", 1, 5),)))

    assert mark.has_read("20-0", event(5))
    assert not mark.has_read("20-1", event(6))
    assert not mark.has_read("20-2", event(1, epoch=2))


def test_events_without_a_number_are_known_by_their_ids() -> None:
    """A producer of others does not number."""
    mark = StreamMark(Bookmark("9-0"))
    unnumbered = event(0, epoch=0)

    assert mark.has_read("9-0", unnumbered)
    assert not mark.has_read("9-1", unnumbered)


def test_a_mark_does_not_grow_for_ever() -> None:
    """Each start of a producer is a numbering. The newest ones stay."""
    mark = StreamMark()
    for epoch in range(1, EPOCHS + 20):
        mark.advance(f"{epoch}-0", event(1, epoch))

    numbers = mark.bookmark().numbers
    assert len(numbers) == EPOCHS
    assert max(epoch for _, epoch, _ in numbers) == EPOCHS + 19
    assert len(mark.newest) == EPOCHS


def test_a_mark_moves_forward_only() -> None:
    """By ids as the server sorts them, not as texts are sorted."""
    mark = StreamMark(Bookmark("9-9"))

    assert not mark.move("9-9")
    assert not mark.move("9-8")
    assert mark.move("9-10")
    assert mark.move("10-0")


def test_a_reader_starts_at_the_older_mark() -> None:
    """At the beginning if one kind has none."""
    old, new = StreamMark(Bookmark("9-0", (("binance", 1, 5),))), StreamMark(Bookmark("10-0"))

    assert oldest([new, old]) == Bookmark("9-0", (("binance", 1, 5),))
    assert oldest([new, StreamMark()]) is None
