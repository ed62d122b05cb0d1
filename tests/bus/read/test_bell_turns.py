"""Whatever a bell says, or does not say: each entry is read once and in order, in time, and no more is claimed than was read."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape.bus.read import bell
from crosstape.bus.read.bell import Bells
from crosstape.bus.read.bell_turns import SWEEP_S, RungStreams
from crosstape.bus.read.followed import FollowedStream, parse_id
from crosstape.bus.read.progress import LIMIT_S, ReadProgress
from crosstape.bus.read.turns import Question
from crosstape_schemas import Keys

KEYS: Final = Keys()
BELL: Final = KEYS.bell("trade").encode()
NAMES: Final = [KEYS.stream("trade", f"C{number}-USDT") for number in range(6)]
STEP_S: Final = 0.01
"""How long each action takes."""


class Tape:
    """A server's streams, in memory, and a reader of them. An entry is its id, and for the bell the names."""

    def __init__(self, *, at_most: int, one_at_a_time: bool) -> None:
        """`one_at_a_time`: an answer that was waited for brings one stream, or bell, alone (as with Redis before 7)."""
        self.now_s = 1_000.0
        self.streams: dict[bytes, list[bytes]] = {name.encode(): [] for name in NAMES}
        self.bell: list[tuple[bytes, bytes]] = []
        self.written: dict[bytes, list[tuple[float, bytes]]] = {key: [] for key in self.streams}
        self.read: dict[bytes, list[bytes]] = {key: [] for key in self.streams}
        self.waited = 0
        self._at_most = at_most
        self._one_at_a_time = one_at_a_time
        self._number = 0
        self._followed: dict[bytes, FollowedStream] = {}
        self.bells = Bells(self._followed)
        self.progress = ReadProgress[bytes](lambda: None)
        self.turns = RungStreams(self._followed, self.progress, self.bells)
        for name in NAMES:
            stream = FollowedStream(name, "0-0", KEYS)
            stream.id = b"0-0"
            self._followed[stream.key] = stream
            self.bells.follow(stream)
            self.progress.added(stream.key)

    def write(self, streams: set[int], rings: str) -> None:
        """Write an entry to each of these streams, and let the bell say of it what `rings` says."""
        keys = [NAMES[one].encode() for one in sorted(streams)]
        for key in keys:
            self._number += 1
            entry_id = f"{self._number}-0".encode()
            self.streams[key].append(entry_id)
            self.written[key].append((self.now_s, entry_id))
        names = {
            "true": [b" ".join(keys)],
            "doubled": [b" ".join(keys)] * 2,
            "not": [],
            "half": [b" ".join(keys[: len(keys) // 2])],
            "garbage": [b"\xff\x00  tape:trade:OTHER", b""],
            "any": [b"*"],
            "others": [b" ".join(set(self.streams) - set(keys))],
        }[rings]
        self.ring(names)

    def ring(self, entries: list[bytes]) -> None:
        """Add entries to the bell."""
        for names in entries:
            self._number += 1
            self.bell.append((f"{self._number}-0".encode(), names))

    def lose_bell(self, how: str) -> None:
        """Let something happen to the bell."""
        if how == "trimmed":
            self.bell = self.bell[-1:]
        elif how == "deleted":
            self.bell = []
        elif how == "made again":
            self.bell = [(b"1-0", NAMES[0].encode())]
        elif how == "lost":
            self.bells.lost()
            self.progress.lost()
            self.turns.begin()
        elif how == "looked at":
            self._look()
        elif self.bells.known[BELL].exists:
            self.bells.refuse(self.bells.known[BELL], self.now_s)

    def call(self) -> Question:
        """Let the reader ask once."""
        self.progress.passed_on()
        if self.bells.to_look_up(self.now_s):
            self._look()
            self.turns.begin()
        question = self.turns.question(self.now_s)
        brought = self._answer(question)
        if not brought and question.wait_s:
            self.waited += 1
            self.now_s += question.wait_s
        count, rung = self._at_most, brought.pop(BELL, None)
        names = self.bells.accept({BELL: rung}, count) if rung else None
        for key, entries in brought.items():
            self.read[key] += [entry_id for entry_id, _ in entries]
            self._followed[key].id = entries[-1][0]
        self.turns.note(question, {key: len(entries) for key, entries in brought.items()}, count, names, self.now_s)
        return question

    def _look(self) -> None:
        self.bells.place(self.bells.known[BELL], self.bell[-1][0] if self.bell else b"", self.now_s)

    def _answer(self, question: Question) -> dict[bytes, list[tuple[bytes, list[bytes]]]]:
        found: dict[bytes, list[tuple[bytes, list[bytes]]]] = {}
        for one in question.bells:
            found[BELL] = [(at, [b"x", b"y", b"s", names]) for at, names in self.bell if parse_id(at) > parse_id(one.id)]
        for stream in question.streams:
            found[stream.key] = [(at, []) for at in self.streams[stream.key] if parse_id(at) > parse_id(stream.id)]
        found = {key: entries[: self._at_most] for key, entries in found.items() if entries}
        if question.wait_s and self._one_at_a_time and self.waited % 2:
            found = dict(list(found.items())[:1])
        return found

    def check_claim(self) -> None:
        """What is claimed to have been read at a time contains all that was written before it."""
        self.progress.passed_on()
        for key, entries in self.written.items():
            due = [entry_id for written_s, entry_id in entries if written_s < self.progress.caught_up_s]
            assert self.read[key][: len(due)] == due


actions = st.lists(
    st.one_of(
        st.tuples(
            st.just("write"),
            st.sets(st.integers(0, len(NAMES) - 1), min_size=1),
            st.sampled_from(["true", "doubled", "not", "half", "garbage", "any", "others"]),
        ),
        st.tuples(st.just("call"), st.integers(1, 4)),
        st.tuples(st.just("bell"), st.sampled_from(["trimmed", "deleted", "made again", "lost", "looked at", "refused"])),
        st.tuples(st.just("late"), st.sets(st.integers(0, len(NAMES) - 1))),
    ),
    max_size=60,
)


@given(actions=actions, at_most=st.integers(1, 4), one_at_a_time=st.booleans(), direct=st.integers(0, 6), far=st.integers(2, 300))
def test_every_entry_is_read_once_in_order_and_in_time(
    actions: list[tuple[str, object, object]], at_most: int, one_at_a_time: bool, direct: int, far: int
) -> None:
    """Bells that are dropped, doubled, late, false, garbage, trimmed, deleted, made again or refused; connections that are lost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bell, "DIRECT", direct)
        patch.setattr(bell, "FAR_BEHIND", far)
        tape = Tape(at_most=at_most, one_at_a_time=one_at_a_time)
        for action, *arguments in actions:
            match action, arguments:
                case "write", [set() as streams, str() as rings]:
                    tape.write(streams, rings)
                case "call", [int() as times]:
                    for _ in range(times):
                        tape.call()
                        tape.check_claim()
                case "bell", [str() as how]:
                    tape.lose_bell(how)
                case "late", [set() as streams]:
                    tape.ring([b" ".join(NAMES[one].encode() for one in streams)])
            tape.now_s += STEP_S

        end_s = tape.now_s
        while tape.now_s < end_s + SWEEP_S or tape.turns.has_more:
            tape.call()
            tape.check_claim()
            tape.now_s += STEP_S / 10
        tape.call()
    assert tape.read == {key: [entry_id for _, entry_id in entries] for key, entries in tape.written.items()}
    assert not tape.progress.behind(tape.now_s, tape.streams)
    assert tape.now_s - tape.progress.caught_up_s < LIMIT_S / 2


def settled(*, at_most: int = 100) -> Tape:
    """A reader that has read all, and waits for a bell that has rung."""
    tape = Tape(at_most=at_most, one_at_a_time=False)
    tape.write({0, 1}, "true")
    while not tape.waited:
        tape.call()
    return tape


def waits_for(tape: Tape) -> list[str]:
    """The streams that the reader waits for beside the bell, once it has nothing to read."""
    while not (question := tape.call()).wait_s:
        tape.now_s += STEP_S
    assert [one.key for one in question.bells] == [BELL]
    return [stream.name for stream in question.streams]


def test_what_the_bell_names_is_read_next_and_nothing_else() -> None:
    """Two calls for a batch: one that waits for the bell, one that reads what it names."""
    tape = settled()
    assert waits_for(tape) == []
    tape.write({3}, "true")
    before_s = tape.now_s
    tape.turns._began_s = before_s  # no sweep is due
    assert tape.call().streams == []
    (stream,) = tape.call().streams
    assert stream.name == NAMES[3]
    assert tape.read[NAMES[3].encode()] == [tape.written[NAMES[3].encode()][0][1]]
    assert tape.now_s == before_s


def test_streams_that_no_bell_names_are_waited_for_until_one_has_named_them_for_a_while() -> None:
    """The first entry is found by a sweep; from then on the stream is waited for. Old and new producers of one stream go together."""
    tape = settled()
    tape.write({3}, "not")
    while not tape.read[NAMES[3].encode()]:
        tape.call()
    assert waits_for(tape) == [NAMES[3]]
    tape.write({3}, "true")
    assert waits_for(tape) == [NAMES[3]]
    tape.now_s += bell.HEAL_S
    tape.write({3}, "not")
    assert waits_for(tape) == [NAMES[3]]
    tape.now_s += bell.HEAL_S + SWEEP_S
    assert waits_for(tape) == [NAMES[3]]
    tape.write({3}, "true")
    assert waits_for(tape) == []


def test_all_streams_are_waited_for_while_the_bell_is_missing_or_too_many_are_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """So old producers alone cost no time at all. It ends when the bell rings."""
    monkeypatch.setattr(bell, "DIRECT", 2)
    tape = Tape(at_most=100, one_at_a_time=False)
    assert waits_for(tape) == NAMES
    tape.write({0}, "not")
    assert waits_for(tape) == NAMES
    tape.write({1}, "true")
    assert waits_for(tape) == [NAMES[0]]
    tape.write({0, 1, 2}, "not")
    while not tape.read[NAMES[2].encode()]:
        tape.call()
    assert waits_for(tape) == NAMES
    tape.now_s += bell.HEAL_S + SWEEP_S
    tape.write({0, 1}, "true")
    assert waits_for(tape) == [NAMES[2]]


def test_a_bell_that_is_far_ahead_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of it that were not read may have been trimmed: all streams are swept, at once."""
    tape = settled()
    tape.write({5}, "not")
    tape.ring([NAMES[0].encode()] * bell.FAR_BEHIND)
    now_s = tape.now_s
    while not tape.read[NAMES[5].encode()]:
        tape.call()
    assert tape.now_s == now_s
    assert tape.bells.unnamed == set()  # it may have been named


def test_a_bell_that_rings_for_others_only_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its entries would wake us. After a while it is tried again."""
    monkeypatch.setattr(bell, "WINDOW", 5)
    tape = settled()
    for _ in range(5):
        tape.ring([b"tape:trade:OTHER"])
        tape.call()
    assert tape.bells.rests(tape.now_s)
    assert not tape.bells.rests(tape.now_s + bell.RETRY_S)
    for _ in range(5):
        tape.write({0}, "true")
        tape.call()
    assert not tape.bells.on_trial


def test_a_refused_bell_is_asked_for_again_after_a_while() -> None:
    """Until then it is not used."""
    bells = Bells({})
    bells.known[BELL] = one = bell.Bell(BELL)
    assert bells.to_look_up(0.0) == [one]
    bells.place(one, None, 0.0)
    assert bells.usable == []
    assert bells.to_look_up(bell.RETRY_S / 2) == []
    assert bells.to_look_up(bell.RETRY_S) == [one]


@pytest.mark.parametrize("fields", [[], [b"s"], [b"d", b"x"], [b"d"], [b"d", b"x", b"s", b"a b"]])
def test_an_entry_that_is_none_of_a_bell_names_nothing(fields: list[bytes]) -> None:
    """Whoever wrote it."""
    bells = Bells({})
    bells.known[BELL] = bell.Bell(BELL)
    assert bells.accept({BELL: [(b"1-0", fields)]}, 5) == ({b"a", b"b"} if b"a b" in fields else set())
