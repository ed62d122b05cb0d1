"""`crosstape gaps` and `crosstape repair` on a history of files: what they print, and what they refuse."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
import pytest

from crosstape.history import text_events
from crosstape.history.batch import Source
from crosstape.history.columns import BatchBuilder
from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.store import ParquetStore
from crosstape.runtime.exit_codes import Exit
from crosstape.settings import Settings
from crosstape_cli.gaps_view import lasting
from crosstape_cli.repair import waiting_bars
from crosstape_schemas import Event, FeedState, Gap, GapCause, Quote, Side, Status, Trade, encode
from tests.cli.running import Done, crosstape

S: Final = 10**9
T0: Final = 1_786_000_000 * S


def trade(number: int) -> Trade:
    """A trade a second."""
    ts = T0 + number * S
    return Trade("binance", "BTC-USDT", ts, ts + 5, Decimal("67000.10"), Decimal("0.001"), Side.BUY, str(number), epoch=7, seq=number + 1)


async def written(folder: Path, **kinds: list[Event]) -> None:
    """Write a history."""
    store = ParquetStore(LocalFolder(folder))
    for kind, events in kinds.items():
        builder = BatchBuilder(kind)
        for number, event in enumerate(events):
            data = encode(event)
            builder.add(event.received_ts // 10**6, number, text_events.decode(data), data)
        await store.append(builder.build(), {}, after=0)
    await store.aclose()


async def run(tmp_path: Path, *arguments: str) -> Done:
    """Run a command on the history in this folder."""
    return await crosstape(*arguments, CROSSTAPE_RECORDER__STORE=str(tmp_path / "history"), CROSSTAPE_RUN__DIR=str(tmp_path))


async def history(tmp_path: Path) -> None:
    """A history with a gap of trades by their ids, and a reported one of quotes."""
    gap = Gap("binance", "BTC-USDT", None, T0 + 9 * S, "quote", T0 + 3 * S, T0 + 9 * S, None, GapCause.DISCONNECT, epoch=7, seq=1)
    signs: list[Event] = [Status("binance", "*", None, T0 + at * S, "*", FeedState.LIVE, epoch=7, seq=at + 1) for at in range(60)]
    quotes: list[Event] = [Quote("binance", "BTC-USDT", None, T0 + at * S, None, None, None, None, epoch=7, seq=at + 1) for at in range(60)]
    trades: list[Event] = [trade(number) for number in range(60) if not 20 <= number < 25]
    await written(tmp_path / "history", trade=trades, quote=quotes, status=signs, gap=[gap])


async def test_gaps_are_listed_as_a_table_or_as_json(tmp_path: Path) -> None:
    """Each says what is missing, why, who saw it, and whether it can be repaired."""
    await history(tmp_path)
    shown = await run(tmp_path, "gaps", "--to", str(T0 + 60 * S))
    lines = await run(tmp_path, "gaps", "--to", str(T0 + 60 * S), "--format", "jsonl")

    assert (shown.code, lines.code) == (Exit.OK, Exit.OK)
    rows = [" ".join(line.split()) for line in shown.out.decode().splitlines()]
    assert rows[0].startswith("kind instrument venue from for missing cause")
    assert any("trade BTC-USDT binance" in row and " 6.0s 5 " in row and row.endswith("trade ids yes") for row in rows), rows
    assert any("quote BTC-USDT binance" in row and row.endswith("? disconnect no: a state") for row in rows)
    assert rows[-1] == "recorded up to 2026-08-06T07:07:39Z"
    assert max(map(len, shown.out.decode().splitlines())) <= 100
    found = {one["kind"]: one for one in map(msgspec.json.decode, lines.out.splitlines())}
    assert (found["trade"]["missing"], found["trade"]["repairable"], found["trade"]["why_not"]) == (5, True, "")
    assert (found["quote"]["missing"], found["quote"]["repairable"]) == (None, False)
    assert (found["trade"]["from_ts"], found["trade"]["to_ts"]) == (T0 + 19 * S, T0 + 25 * S)


async def test_a_time_in_which_nobody_recorded_is_one_line(tmp_path: Path) -> None:
    """Of all kinds, instruments and venues. What comes after the newest commit is no gap: it says until when there is a history."""
    signs: list[Event] = []
    quotes: list[Event] = []
    for number, at in enumerate([*range(20), *range(30, 50)], 1):
        for venue in ("binance", "kraken"):
            signs.append(Status(venue, "*", None, T0 + at * S, "*", FeedState.LIVE, epoch=7, seq=number))
            quotes += [
                Quote(venue, name, None, T0 + at * S, None, None, None, None, epoch=7, seq=number) for name in ("BTC-USDT", "ETH-USDT")
            ]
    trades: list[Event] = [trade(number) for number in range(50) if not 20 <= number < 30]
    await written(tmp_path / "history", trade=trades, quote=quotes, status=signs)

    shown = await run(tmp_path, "gaps")
    of_one = await run(tmp_path, "gaps", "--venue", "kraken", "--format", "jsonl")

    rows = [line.split() for line in shown.out.decode().splitlines()]
    assert rows[1:] == [
        ["*", "*", "*", "2026-08-06T07:06:59Z", "11.0s", "?", "no", "sign", "of", "life", "no"],
        ["trade", "BTC-USDT", "binance", "2026-08-06T07:06:59Z", "11.0s", "10", "trade", "ids", "yes"],
        ["recorded", "up", "to", "2026-08-06T07:07:29Z"],
    ]
    (line,) = map(msgspec.json.decode, of_one.out.splitlines())
    assert (line["venue"], line["instrument"], line["kind"], line["feeds"]) == ("kraken", "*", "*", 2)
    assert (line["from_ts"], line["to_ts"]) == (T0 + 19 * S, T0 + 30 * S)


async def test_what_the_recorder_missed_is_named_so_and_bars_are_not_counted(tmp_path: Path) -> None:
    """The numbers of a stream of bars are those of open ones, too, of which none is kept: how many bars are missing is not known."""
    lost = [
        Gap(venue, "BTC-USDT", None, T0 + 50 * S, kind, T0 + 3 * S, T0 + 37 * S, 90, GapCause.BUS, epoch=7, seq=9)
        for venue, kind in (("consolidated", "bar:1m"), ("binance", "quote"))
    ]
    store = ParquetStore(LocalFolder(tmp_path / "history"))
    builder = BatchBuilder("gap")
    for number, gap in enumerate(lost):
        data = encode(gap)
        builder.add(gap.received_ts // 10**6, number, text_events.decode(data), data, Source.RECORDER)
    await store.append(builder.build(), {}, after=0)
    await store.aclose()

    shown = await run(tmp_path, "gaps", "--to", str(T0 + 60 * S))
    lines = await run(tmp_path, "gaps", "--to", str(T0 + 60 * S), "--format", "jsonl")

    rows = [" ".join(line.split()) for line in shown.out.decode().splitlines()]
    assert any("bar:1m BTC-USDT consolidated" in row and " 34.0s ? recorder away with its" in row for row in rows), rows
    assert "recorder away: the recorder was away or behind; entries left the tape before it had read them" in rows
    assert any("quote BTC-USDT binance" in row and " 34.0s 90 recorder away no: a state" in row for row in rows), rows
    assert max(map(len, shown.out.decode().splitlines())) <= 100
    found = {one["kind"]: one for one in map(msgspec.json.decode, lines.out.splitlines())}
    assert (found["bar"]["missing"], found["quote"]["missing"]) == (None, 90)
    assert found["bar"]["causes"] == ["recorder_away"]
    assert found["bar"]["seen"] == ["the recorder was away or behind"]
    assert "two minutes later `crosstape repair`" in found["bar"]["why_not"]


async def test_a_selection_leaves_out_the_rest(tmp_path: Path) -> None:
    """By kind, instrument, venue, and time."""
    await history(tmp_path)
    until = ("--to", str(T0 + 60 * S), "--format", "jsonl")

    kinds = [msgspec.json.decode(line)["kind"] for line in (await run(tmp_path, "gaps", "--kind", "quote", *until)).out.splitlines()]
    later = await run(tmp_path, "gaps", "btc-usdt", "--kind", "trade", "--from", str(T0 + 30 * S), *until)
    other = await run(tmp_path, "gaps", "--venue", "kraken", "--to", str(T0 + 60 * S))

    assert kinds == ["quote"]
    assert (later.code, later.out) == (Exit.OK, b"")
    assert b"nothing is missing up to 2026-08-06T07:07:39Z, as far as the history can show it" in other.out


@pytest.mark.parametrize("command", [("gaps",), ("repair",), ("recorder", "check")])
async def test_a_history_without_rows_says_so(tmp_path: Path, command: tuple[str, ...]) -> None:
    """It lacks nothing, because nothing was recorded; a wrong address looks like that, too, and is named."""
    done = await run(tmp_path, *command)

    assert (done.code, done.out.decode()) == (Exit.OK, f"{tmp_path / 'history'}: nothing was recorded yet\n")


@pytest.mark.parametrize("command", [("gaps",), ("recorder", "check"), ("history", "trade", "BTC-USDT")])
async def test_a_history_that_is_a_file_is_refused(tmp_path: Path, command: tuple[str, ...]) -> None:
    """It is no empty folder: the address is wrong."""
    (tmp_path / "history").write_text("notes")

    done = await run(tmp_path, *command)

    assert done.code not in (Exit.OK, Exit.USAGE)
    assert "Not a directory" in done.err


async def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    """It shows the same list, and asks no venue."""
    await history(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "history").rglob("*.parquet")}

    done = await run(tmp_path, "repair", "--dry-run", "--to", str(T0 + 60 * S))

    assert done.code == Exit.OK
    assert b"trade ids" in done.out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "history").rglob("*.parquet")} == before


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--venue", "binanec"), "--venue binanec: did you mean binance?"),
        (("--kind", "trades"), "--kind trades: did you mean trade?"),
        (("--kind", "candle:7m"), "--kind candle:7m: only candle and bar have a timeframe"),
        (("--kind", "trade:1m"), "--kind trade:1m: only candle and bar have a timeframe"),
        (("--from", "soon"), "--from soon"),
    ],
)
@pytest.mark.parametrize("command", ["gaps", "repair"])
async def test_what_is_wrong_is_named(tmp_path: Path, command: str, options: tuple[str, str], error: str) -> None:
    """With the nearest right name."""
    done = await run(tmp_path, command, *options)

    assert done.code == Exit.USAGE
    assert error in done.err


def test_when_bars_are_made_again() -> None:
    """Once the aggregator does not revise them any more, and two minutes later; nothing waits if no trades came."""
    settings = Settings()
    wait = int(settings.aggregator.bar_history_s * S) + 120 * S

    assert "`crosstape repair` after 2026-08-06T08:08:40Z:" in waiting_bars(settings, T0, T0 + wait - 1)
    assert waiting_bars(settings, T0, T0 + wait) == ""
    assert waiting_bars(settings, 0, 0) == ""


@pytest.mark.parametrize(("ns", "text"), [(0, "0.0s"), (6 * S, "6.0s"), (200 * S, "3m 20s"), (3_600 * S, "1h 0m"), (90_061 * S, "1d 1h")])
def test_how_long_a_gap_is(ns: int, text: str) -> None:
    """In its two largest units."""
    assert lasting(ns) == text
