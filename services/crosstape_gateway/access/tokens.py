"""Reads the file that says who may read, and finds the holder of a token. Tokens themselves are not kept: only what proves them."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog

from crosstape.errors import SettingsError
from crosstape.paths import expanded
from crosstape.text_file import decode_utf8

SETTING: Final = "gateway.tokens_file"
SHORTEST: Final = 16
"""Characters of a token at least: shorter ones can be guessed."""
LONGEST: Final = 512
MAX_BYTES: Final = 1 << 20

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_VISIBLE: Final = re.compile(r"[!-~]+")
"""What an HTTP header can carry without doubt."""

log = structlog.get_logger(__name__)


class Reader:
    """Someone who may read. Holds digests of the token, from which it cannot be had."""

    __slots__ = ("digest", "name", "session_key")

    def __init__(self, name: str, token: str) -> None:
        self.name = name
        self.digest = _digest(token)
        """Of the token, to compare with."""
        self.session_key = hmac.digest(token.encode(), b"crosstape session", "sha256")
        """Signs this reader's sessions: the same on every gateway with the same file."""

    def __repr__(self) -> str:
        return f"Reader({self.name!r})"


class Tokens:
    """The readers of one file. `refresh` reads it again when it has changed; a file that is wrong then changes nothing, and is logged."""

    def __init__(self, path: str) -> None:
        """Raises `SettingsError` for a file that cannot be used."""
        try:
            self._path = expanded(path)
            self._seen = _signature(self._path)
            self._readers = read_file(self._path)
        except (ValueError, OSError) as exc:
            raise SettingsError(f"{SETTING} = {path!r}: {_reason(exc)}") from None

    @property
    def readers(self) -> dict[str, Reader]:
        """Name → reader."""
        return self._readers

    def holder(self, token: str) -> Reader | None:
        """Returns who has this token. The time that it takes says nothing about the tokens."""
        given, found = _digest(token), None
        for reader in self._readers.values():
            if hmac.compare_digest(reader.digest, given):
                found = reader
        return found

    def refresh(self) -> list[Reader]:
        """Read the file again if it has changed. Returns the readers whose token does not count any more."""
        try:
            seen = _signature(self._path)
        except OSError:
            seen = ()
        if seen == self._seen:
            return []
        self._seen = seen
        try:
            readers = read_file(self._path)
        except (ValueError, OSError) as exc:
            log.error("gateway.tokens_not_read", reason=_reason(exc), kept=len(self._readers))
            return []
        before, self._readers = self._readers, readers
        log.info("gateway.tokens_read", names=sorted(readers))
        return [one for one in before.values() if (now := readers.get(one.name)) is None or now.digest != one.digest]


def read_file(path: Path) -> dict[str, Reader]:
    """Returns name → reader of a file.

    Raises `ValueError`, whose text shows nothing of the content, for a file that others can read or that is not right; and `OSError`.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a file")
        if mistake := mode_mistake(found.st_mode, read_only=_on_read_only_mount(file.fileno())):
            raise ValueError(mistake)
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"longer than {MAX_BYTES} bytes")
    return parse(decode_utf8(content))


def _without_waiting(path: str, flags: int) -> int:
    """Opens a pipe, too, at once: it is no file, but that is only known once it is open."""
    return os.open(path, flags | os.O_NONBLOCK)


def mode_mistake(mode: int, *, read_only: bool) -> str:
    """Says what is wrong with the mode of a file of tokens; empty: nothing is.

    A file on a read-only mount may be readable by all: container platforms mount secrets like that (`/run/secrets` of Docker and Podman,
    volumes of Kubernetes), often with mode 0444 and owned by root. Nobody in the container could change it, and outside of the container
    the directory around it guards it.
    """
    readable = stat.S_IMODE(mode)
    if read_only or not readable & stat.S_IRWXO:
        return ""
    return f"its mode is {readable:04o}: every user of this machine can use it; expected {readable & 0o750:04o} or less (chmod o= FILE)"


def parse(text: str) -> dict[str, Reader]:
    """Returns name → reader of a text with one `NAME:TOKEN` a line. Empty lines and lines that begin with `#` do not count.

    Raises `ValueError`, which names the line and shows nothing that stands there.
    """
    readers: dict[str, Reader] = {}
    names: dict[str, int] = {}
    digests: dict[bytes, int] = {}
    for number, name, token in _lines(text):
        if not _NAME.fullmatch(name):
            raise ValueError(f"line {number}: expected NAME:TOKEN, with a name of up to 64 letters, digits, dots, - and _")
        if len(token) < SHORTEST:
            raise ValueError(f"line {number}: the token has {len(token)} characters; it must have {SHORTEST} at least")
        if len(token) > LONGEST or not _VISIBLE.fullmatch(token):
            raise ValueError(f"line {number}: a token has up to {LONGEST} characters, of ASCII, without white space")
        reader = Reader(name, token)
        if name in names:
            raise ValueError(f"line {number}: the same name as in line {names[name]}")
        if reader.digest in digests:
            raise ValueError(f"line {number}: the same token as in line {digests[reader.digest]}")
        names[name] = digests[reader.digest] = number
        readers[name] = reader
    if not readers:
        raise ValueError("it holds no token; expected NAME:TOKEN lines")
    return readers


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if (stripped := line.strip()) and not stripped.startswith("#"):
            name, colon, token = stripped.partition(":")
            yield number, name.strip() if colon else "", token.strip()


def _reason(exc: Exception) -> str:
    return f"cannot be read: {exc.strerror}" if isinstance(exc, OSError) else str(exc)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def _signature(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _on_read_only_mount(descriptor: int) -> bool:
    return bool(os.fstatvfs(descriptor).f_flag & os.ST_RDONLY)
