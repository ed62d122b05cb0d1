"""Which store the settings name, and what is missing for it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import msgspec
import pytest

from crosstape.errors import HistoryError, SettingsError
from crosstape.history.opening import history_url, open_store
from crosstape.history.parquet.store import ParquetStore
from crosstape.history.query import Query
from crosstape.settings import Settings
from tests.history.batches import batch, read, trade


def settings(store: str = "", run_dir: Path | None = None) -> Settings:
    """Settings with this store."""
    plain = Settings()
    run = msgspec.structs.replace(plain.run, dir=str(run_dir or ""))
    return msgspec.structs.replace(plain, run=run, recorder=msgspec.structs.replace(plain.recorder, store=store))


def test_the_setting_is_asked_first_then_the_variable_then_the_run_directory(tmp_path: Path) -> None:
    """The variable is what hosts of databases set; one for another database is not for us."""
    database = {"DATABASE_URL": "postgresql://db/tape"}

    assert history_url(settings("/data"), database) == "/data"
    assert history_url(settings(), database) == "postgresql://db/tape"
    assert history_url(settings(run_dir=tmp_path), {"DATABASE_URL": "mysql://db/shop"}) == str(tmp_path / "history")
    assert history_url(settings(run_dir=tmp_path), {}) == str(tmp_path / "history")


@pytest.mark.parametrize("form", ["{}", "file://{}"])
async def test_a_folder_is_made_when_something_is_written(tmp_path: Path, form: str) -> None:
    """Not by who only reads."""
    url = form.format(tmp_path / "kept")
    async with open_store(settings(url)) as store:
        assert await read(store, Query(kind="trade")) == []
        assert not (tmp_path / "kept").exists()
        assert await store.append(batch([trade(1)]), {}, after=0) == 1

    async with open_store(settings(url)) as store:
        assert len(await read(store, Query(kind="trade"))) == 1


async def test_the_json_of_all_events_is_kept_if_wanted(tmp_path: Path) -> None:
    """By the setting `recorder.keep`."""
    chosen = settings(str(tmp_path))
    chosen = msgspec.structs.replace(chosen, recorder=msgspec.structs.replace(chosen.recorder, keep="events"))
    async with open_store(chosen) as store:
        await store.append(batch([trade(1)]), {}, after=0)
        (table,) = [table async for table in store.read(Query(kind="trade"))]

    assert table.column("d").null_count == 0


async def test_a_bucket_is_opened_with_the_usual_variables(bucket: str) -> None:
    """Keys and the address come from the environment."""
    url = f"s3://{bucket}/opening/tape"
    async with open_store(settings(url)) as store:
        assert isinstance(store, ParquetStore)
        assert await store.append(batch([trade(1)]), {}, after=0) == 1
    async with open_store(settings(url)) as store:
        assert len(await read(store, Query(kind="trade"))) == 1


@pytest.mark.parametrize(
    ("url", "library", "extra"),
    [
        ("/data", "pyarrow", "history"),
        ("/data", "duckdb", "history"),
        ("s3://tape/history", "obstore", "s3"),
        ("postgresql://db/tape", "asyncpg", "postgres"),
    ],
)
async def test_a_missing_extra_is_named(url: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And how it is installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == library else find(name, *rest))

    with pytest.raises(HistoryError, match=rf"{library}: pip install 'crosstape\[{extra}\]'"):
        async with open_store(settings(url)):
            pass


@pytest.mark.parametrize("url", ["mysql://db/tape", "s3:///tape", "s3://key:secret@tape/history", "s3://tape/history?key=secret"])
async def test_what_is_no_address_of_a_history_is_refused(url: str) -> None:
    """Without repeating a secret that is in it."""
    with pytest.raises(SettingsError, match=r"recorder\.store") as caught:
        async with open_store(settings(url)):
            pass
    assert "secret" not in str(caught.value)


def test_a_program_without_the_extras_can_import_the_seam() -> None:
    """`pip install crosstape` has none of the libraries."""
    import subprocess
    import sys

    code = (
        "import sys; import crosstape.history.opening; print([n for n in ('pyarrow', 'duckdb', 'obstore', 'asyncpg') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
