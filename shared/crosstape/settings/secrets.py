"""Reads a secret from a file of its own, as container platforms mount them (`/run/secrets/…`)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from crosstape.text_file import decode_utf8

SUFFIX: Final = "_file"
"""End of the key that names the file of a secret: `password_file` for `password`."""

MAX_BYTES: Final = 65_536
"""Longer than any secret; a file like `/dev/zero` has no end."""


def secret_in(path: Path) -> str:
    """Returns the text of the file, without a byte order mark and without white space around it. Empty (as of `/dev/null`): no secret.

    Raises `ValueError`, whose text shows nothing of the content, for a file that cannot be read or holds more than one line.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise ValueError(f"cannot be read: {exc.strerror}") from exc
    except ValueError:  # a NUL within the name
        raise ValueError("cannot be read: not the name of a file") from None
    if len(content) > MAX_BYTES:
        raise ValueError(f"longer than {MAX_BYTES} bytes: not a secret")
    try:
        text = decode_utf8(content).strip()
    except ValueError as exc:
        raise ValueError(f"cannot be read: {exc}") from None
    if len(text.splitlines()) > 1:
        raise ValueError("a line break stands within the secret")
    return text
