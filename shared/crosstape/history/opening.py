"""Opens the store of the history that the settings name: a folder, an S3 bucket, or a database."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from crosstape.errors import HistoryError, SettingsError
from crosstape.history.store import Store
from crosstape.paths import expanded
from crosstape.runtime.run_dir import run_dir
from crosstape.settings import Settings

VARIABLE: Final = "DATABASE_URL"
"""The environment variable that many hosts set to the address of the database they provide."""
FOLDER: Final = "history"
"""Folder of the history in `run.dir`."""
S3: Final = "s3"
POSTGRES: Final = frozenset({"postgresql", "postgres"})
EXTRAS: Final = {"pyarrow": "history", "duckdb": "history", "obstore": "s3", "asyncpg": "postgres"}
"""Library → the extra that installs it."""


def history_url(settings: Settings, environ: Mapping[str, str] | None = None) -> str:
    """Returns where the history is: `recorder.store`, else the variable `DATABASE_URL` if it names PostgreSQL, else a folder in `run.dir`.

    It may hold a password. Raises as `run_dir`.
    """
    environ = os.environ if environ is None else environ
    if settings.recorder.store:
        return settings.recorder.store
    named = environ.get(VARIABLE, "")
    if _is_postgres(named):
        return named
    return str(run_dir(settings.run, environ, written=False) / FOLDER)


def check_store(settings: Settings, environ: Mapping[str, str] | None = None) -> None:
    """Raise what `open_store` would raise about the settings and the installation. It imports nothing large and opens nothing."""
    _check(history_url(settings, environ))


def check_named_store(settings: Settings, environ: Mapping[str, str] | None = None) -> None:
    """Raise what `check_store` raises, if the settings say that there is a history: a store is named or the recorder is enabled."""
    if settings.recorder.store or settings.recorder.enabled:
        check_store(settings, environ)


@contextlib.asynccontextmanager
async def open_store(settings: Settings, environ: Mapping[str, str] | None = None) -> AsyncIterator[Store]:
    """Opens the store for the length of the block.

    Raises `HistoryError` if an extra is missing, `SettingsError` for what is no address of a history, and as `run_dir`.
    """
    store = _opened(settings, history_url(settings, environ), os.environ if environ is None else environ)
    try:
        yield store
    finally:
        await store.aclose()


def _is_postgres(url: str) -> bool:
    """Whether it is an address of PostgreSQL: also one with a driver, `postgresql+asyncpg://`, as hosts write it for SQLAlchemy."""
    return url.partition("://")[0].partition("+")[0] in POSTGRES and "://" in url


def _opened(settings: Settings, url: str, environ: Mapping[str, str]) -> Store:
    scheme = _check(url)
    if _is_postgres(url):
        from crosstape.history.postgres.store import PostgresStore  # noqa: PLC0415 - it needs an extra

        return PostgresStore(url, keep=settings.recorder.keep)
    if scheme == S3:
        from crosstape.history.parquet.s3 import S3Folder  # noqa: PLC0415 - it needs an extra
        from crosstape.history.parquet.store import ParquetStore  # noqa: PLC0415 - it needs an extra

        parts = urlsplit(url)
        if not parts.hostname or parts.username or parts.password or parts.query:
            raise SettingsError("recorder.store: an address of S3 is s3://BUCKET/PREFIX; keys come from AWS_ACCESS_KEY_ID and the like")
        endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or environ.get("AWS_ENDPOINT") or ""
        folder = S3Folder(parts.netloc, unquote(parts.path).strip("/"), allow_http=endpoint.startswith("http://"))
        return ParquetStore(folder, keep=settings.recorder.keep)
    from crosstape.history.parquet.folder import LocalFolder  # noqa: PLC0415 - it needs an extra
    from crosstape.history.parquet.store import ParquetStore  # noqa: PLC0415 - it needs an extra

    try:
        path = expanded(unquote(urlsplit(url).path) if scheme else url).absolute()
    except ValueError as exc:
        raise SettingsError(f"recorder.store = {exc}") from exc
    return ParquetStore(LocalFolder(Path(path)), keep=settings.recorder.keep)


def _check(url: str) -> str:
    """Return the scheme of an address; empty: a path. Raises as `open_store`."""
    scheme = url.partition("://")[0] if "://" in url else ""
    if _is_postgres(url):
        _need("pyarrow", "asyncpg", what="a history in PostgreSQL")
    elif scheme == S3:
        _need("pyarrow", "duckdb", "obstore", what="a history in S3")
    elif scheme in {"", "file"}:
        _need("pyarrow", "duckdb", what="a history in files")
    else:
        known = "a folder, s3://BUCKET/PREFIX or postgresql://HOST/DATABASE"
        raise SettingsError(f"recorder.store: {scheme}:// is no address of a history; it is {known}")
    return scheme


def _need(*libraries: str, what: str) -> None:
    for library in libraries:
        if importlib.util.find_spec(library) is None:
            extra = EXTRAS[library]
            raise HistoryError(f"{what} needs {library}: pip install 'crosstape[{extra}]' (in a clone: make .venv/.ready)")
