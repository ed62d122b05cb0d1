"""The file of tokens: what it may hold, who may read it, and when it is read again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from crosstape.errors import SettingsError
from crosstape_gateway.access.tokens import Reader, Tokens, mode_mistake, parse

ALICE, BOB = "alice-0123456789abcdef", "bob-0123456789abcdef"
NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
TOKENS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=512)


def written(path: Path, content: str, mode: int = 0o600) -> str:
    """Returns the name of a file with this content, which replaces the one before at once."""
    new = path / "new"
    new.write_text(content)
    new.chmod(mode)
    return str(new.rename(path / "tokens"))


@given(readers=st.dictionaries(NAMES, TOKENS, min_size=1, max_size=5).filter(lambda made: len(set(made.values())) == len(made)))
def test_every_token_of_a_file_is_its_readers(readers: dict[str, str]) -> None:
    """Whatever visible characters it consists of, colons included."""
    found = parse("\n".join(f"{name}:{token}" for name, token in readers.items()))

    assert {name: reader.digest for name, reader in found.items()} == {name: Reader(name, token).digest for name, token in readers.items()}


@given(text=st.text(max_size=200))
def test_any_text_is_readers_or_an_error_that_shows_nothing(text: str) -> None:
    """An error names a line; the content of the file is not in it."""
    try:
        assert parse(text)
    except ValueError as exc:
        message = str(exc)
    else:
        return
    assert message.startswith(("line ", "it holds no token"))
    assert not any(len(word) > 15 and word in message for line in text.split("\n") for word in line.split(":"))


def test_empty_lines_and_comments_do_not_count() -> None:
    """White space around names and tokens does not either."""
    assert list(parse(f"# who may read\n\n  alice : {ALICE} \r\nbob:{BOB}")) == ["alice", "bob"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it holds no token; expected NAME:TOKEN lines"),
        ("# alice", "it holds no token"),
        (ALICE, "line 1: expected NAME:TOKEN"),
        (f"\n\n:{ALICE}", "line 3: expected NAME:TOKEN"),
        (f"al ice:{ALICE}", "line 1: expected NAME:TOKEN"),
        ("alice:short", "line 1: the token has 5 characters; it must have 16 at least"),
        (f"alice:{ALICE} {BOB}", "line 1: a token has up to 512 characters, of ASCII, without white space"),
        (f"alice:ü{ALICE}", "line 1: a token has up to 512"),
        (f"alice:{ALICE}\nalice:{BOB}", "line 2: the same name as in line 1"),
        (f"alice:{ALICE}\n\nbob:{ALICE}", "line 3: the same token as in line 1"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, message: str) -> None:
    """And without anything that stands there: it may be a token."""
    with pytest.raises(ValueError, match=r"^(line \d+: |it holds)") as caught:
        parse(text)

    assert message in str(caught.value)
    assert not any(secret in str(caught.value) for secret in (ALICE, BOB, "short"))


def test_a_token_is_in_no_repr() -> None:
    """Only the name."""
    (reader,) = parse(f"alice:{ALICE}").values()

    assert repr(reader) == "Reader('alice')"
    assert ALICE.encode() not in (reader.digest, reader.session_key)


@pytest.mark.parametrize(("mode", "expected"), [(0o600, ""), (0o400, ""), (0o640, ""), (0o440, "")])
def test_a_file_that_others_cannot_use_is_good(mode: int, expected: str) -> None:
    """A group may read it: who is in it, the administrator decides."""
    assert mode_mistake(0o100000 | mode, read_only=False) == expected


@pytest.mark.parametrize(("mode", "better"), [(0o644, "0640"), (0o604, "0600"), (0o666, "0640"), (0o602, "0600"), (0o444, "0440")])
def test_a_file_that_others_can_use_is_refused(mode: int, better: str) -> None:
    """The error says which mode it has and which it should have; a read-only mount of a container is guarded otherwise."""
    assert mode_mistake(0o100000 | mode, read_only=False).startswith(f"its mode is {mode:04o}: ")
    assert f"expected {better} or less" in mode_mistake(0o100000 | mode, read_only=False)
    assert mode_mistake(0o100000 | mode, read_only=True) == ""


def test_a_file_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    """The error names the setting and the file."""
    with pytest.raises(SettingsError, match=r"gateway\.tokens_file = '.*tokens': cannot be read: No such file"):
        Tokens(str(tmp_path / "tokens"))
    with pytest.raises(SettingsError, match=r"its mode is 0644: every user"):
        Tokens(written(tmp_path, f"alice:{ALICE}", 0o644))
    with pytest.raises(SettingsError, match="tokens': it holds no token"):
        Tokens(written(tmp_path, ""))
    with pytest.raises(SettingsError, match=r"not a file|Is a directory"):
        Tokens(str(tmp_path))
    (tmp_path / "tokens").write_bytes(f"alice:{ALICE}".encode("utf-16"))
    with pytest.raises(SettingsError, match="save it as UTF-8"):
        Tokens(str(tmp_path / "tokens"))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Opening one waits for a writer, which may never come, and meanwhile nobody is served."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(SettingsError, match="not a file"):
        Tokens(str(tmp_path / "pipe"))


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """New tokens count from then on, old ones do not; who lost a token is returned, so that streams can be cut."""
    tokens = Tokens(written(tmp_path, f"alice:{ALICE}\nbob:{BOB}"))
    assert [holder.name if (holder := tokens.holder(token)) else None for token in (ALICE, BOB, "", ALICE[:-1], ALICE + "x", "\udcff")] == [
        "alice", "bob", None, None, None, None
    ]  # fmt: skip
    assert tokens.refresh() == []

    written(tmp_path, f"alice:new-{ALICE}\ncarol:{BOB}x")
    gone = tokens.refresh()

    assert sorted(reader.name for reader in gone) == ["alice", "bob"]
    assert tokens.holder(ALICE) is None
    assert tokens.holder(f"new-{ALICE}") is tokens.readers["alice"]
    assert tokens.refresh() == []


@pytest.mark.parametrize("how", ["empty", "bad line", "open to others", "gone"])
def test_a_file_that_has_become_wrong_changes_nothing(tmp_path: Path, how: str) -> None:
    """It is logged once, without its content; the next good one counts."""
    path = tmp_path / "tokens"
    tokens = Tokens(written(tmp_path, f"alice:{ALICE}"))
    match how:
        case "empty":
            written(tmp_path, "")
        case "bad line":
            written(tmp_path, f"{BOB}")
        case "open to others":
            written(tmp_path, f"bob:{BOB}", 0o666)
        case _:
            path.unlink()
    with structlog.testing.capture_logs() as logs:
        assert tokens.refresh() == []
        assert tokens.refresh() == []

    (event,) = logs
    assert (event["event"], event["log_level"], event["kept"]) == ("gateway.tokens_not_read", "error", 1)
    assert BOB not in str(event)
    assert tokens.holder(ALICE) is not None
    written(tmp_path, f"bob:{BOB}")
    tokens.refresh()
    assert (tokens.holder(ALICE), tokens.holder(BOB)) == (None, tokens.readers["bob"])


def test_a_file_is_read_again_when_only_a_link_to_it_changes(tmp_path: Path) -> None:
    """Container platforms replace a secret by pointing a link to a new directory."""
    for name, token in (("one", ALICE), ("two", BOB)):
        (tmp_path / name).mkdir()
        written(tmp_path / name, f"alice:{token}")
    (tmp_path / "data").symlink_to("one")
    tokens = Tokens(str(tmp_path / "data" / "tokens"))
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(tmp_path / "data")
    tokens.refresh()

    assert tokens.holder(BOB) is not None
