"""Reads text that people write into files: UTF-8, with or without the byte order mark that some editors put first."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

_UTF_8: Final = codecs.BOM_UTF8
_OTHERS: Final = (  # UTF-32's little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def decode_utf8(content: bytes) -> str:
    """Returns the text of a file that should be UTF-8, without a byte order mark.

    Raises `ValueError`, whose text names the encoding or the line and shows nothing of the content.
    """
    for mark, name in _OTHERS:
        if content.startswith(mark):
            raise ValueError(f"it is {name}: save it as UTF-8")
    content = content.removeprefix(_UTF_8)
    if b"\0" in content:
        raise ValueError("it holds NUL bytes, as UTF-16 without a byte order mark does: save it as UTF-8")
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise ValueError(f"line {line} is not UTF-8") from None  # the error's own text would show a part of the content


def byte_order_mark_note(path: str | Path) -> str:
    """`; it begins with a byte order mark (UTF-8)` if the file does, for the message of a library that cannot use it; else nothing."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(4)
    except OSError:
        return ""
    names = (name for mark, name in ((_UTF_8, "UTF-8"), *_OTHERS) if head.startswith(mark))
    name = next(names, None)
    return f"; it begins with a byte order mark ({name}): save it without" if name else ""
