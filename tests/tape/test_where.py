"""Which server a tape reads: the one that is named, else that of the settings, else that of `crosstape up`."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape import BusError, SettingsError, Start, Tape
from crosstape.runtime.announced_server import announced
from crosstape.runtime.run_dir import run_dir
from crosstape.settings import BusSettings, RunSettings
from crosstape_schemas import Keys
from tests.bus.tape import BTC, ETH, TRADES, fast, stamped, trade


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither settings nor a server that runs."""
    monkeypatch.delenv("CROSSTAPE_SETTINGS", raising=False)
    monkeypatch.delenv("CROSSTAPE_BUS__URL", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


async def seen(*bus: str | BusSettings) -> int:
    """The number of the first trade on this tape."""
    async with Tape(*bus) as tape:
        found = await tape.trades(BTC, start=Start.BEGINNING).read(timeout_s=10)
        return found[0].seq


@pytest.fixture
async def taped(client: Redis) -> None:
    """One trade on the tape, and another one on a tape with other names."""
    await client.xadd(TRADES, {"d": stamped(trade(1), 5, 1)})
    await client.xadd(Keys("other", 4).stream("trade", BTC), {"d": stamped(trade(2), 5, 2)})


async def test_the_server_that_is_named(taped: None, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its url, whatever the environment says; by settings of the bus, where the tape has other names."""
    monkeypatch.setenv("CROSSTAPE_BUS__URL", "redis://nowhere")
    assert await seen(valkey) == 1
    assert await seen(fast(valkey, prefix="other", partitions=4)) == 2


async def test_the_server_of_the_settings(taped: None, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the environment, and of the file that it names."""
    monkeypatch.setenv("CROSSTAPE_BUS__URL", valkey)
    assert await seen() == 1
    monkeypatch.delenv("CROSSTAPE_BUS__URL")
    file = tmp_path / "crosstape.toml"
    file.write_text(f'[bus]\nurl = "{valkey}"\nprefix = "other"\npartitions = 4\n')
    monkeypatch.setenv("CROSSTAPE_SETTINGS", str(file))
    assert await seen() == 2


async def test_the_server_of_crosstape_up(taped: None, valkey: str, engine: str) -> None:
    """It is announced in the run directory while it runs."""
    if engine != "embedded":
        pytest.skip("crosstape up runs an embedded server")
    with announced(run_dir(RunSettings()), valkey):
        assert await seen() == 1
    with pytest.raises(BusError, match="no `crosstape up` runs"):
        await seen()


async def test_wrong_settings_are_said_when_the_tape_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the setting's name."""
    with pytest.raises(SettingsError, match="not one of redis"):
        await seen("http://localhost")
    with pytest.raises(TypeError, match="url of a server as text"):
        await seen(b"redis://localhost")  # type: ignore[arg-type]
    monkeypatch.setenv("CROSSTAPE_BUS__PARTITIONS", "none")
    with pytest.raises(SettingsError, match="CROSSTAPE_BUS__PARTITIONS"):
        await seen()


async def test_a_wrong_number_of_partitions_is_said(client: Redis, valkey: str) -> None:
    """Else nothing would ever come: the names are others. Where it was changed, old names may be left."""
    for right, wrong in ((1, 4), (4, 1), (4, 6)):
        await client.flushall()
        keys = Keys(partitions=right)
        await client.sadd(keys.registry(keys.partition(ETH)), keys.stream("trade", ETH))
        await client.sadd(keys.registry(), keys.venue("binance"))
        async with Tape(fast(valkey, partitions=wrong)) as tape:
            past = (lambda tape=tape: tape.last("trade", ETH), lambda tape=tape: tape.history("trade", ETH))
            for question in (tape.trades(ETH).next, tape.trades("*").read, tape.instruments, *past):
                with pytest.raises(SettingsError, match=f"bus.partitions = {wrong}, but the tape 'tape' on .* has another number"):
                    await question()
    keys = Keys(partitions=6)
    await client.sadd(keys.registry(keys.partition(BTC)), keys.stream("trade", BTC))
    async with Tape(fast(valkey, partitions=6)) as tape:
        assert await tape.instruments() == [BTC]
