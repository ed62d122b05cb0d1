"""Captures in, events out: files, pipes, packed or plain, and what is wrong with them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import zstandard

from crosstape.runtime.lifecycle import Exit
from crosstape_schemas import Candle, Status, Trade, decode
from tests.cli.running import crosstape, line, started

PAIRS = {"error": [], "result": {"XXBTZUSD": {"wsname": "XBT/USD", "status": "online", "tick_size": "0.1", "lot_decimals": 8}}}


def trade(number: int) -> dict[str, Any]:
    """A frame as https://docs.kraken.com/api/docs/websocket-v2/trade has it."""
    row = {
        "symbol": "BTC/USD", "side": "sell", "price": 64250.1, "qty": 0.00100000, "ord_type": "market", "trade_id": number,
        "timestamp": "2026-11-20T12:00:00.123456Z",
    }  # fmt: skip
    return {"channel": "trade", "type": "update", "data": [row]}


def capture(*frames: object, venue: str = "kraken") -> bytes:
    """A capture of one connection, with its instruments."""
    lines: list[dict[str, Any]] = [
        {"capture": 1, "venue": venue, "url": "wss://ws.kraken.com/v2"},
        {"t": 1_000, "c": 0, "d": "rest", "u": "https://api.kraken.com/0/public/AssetPairs", "f": json.dumps(PAIRS)},
    ]
    lines += [
        {"t": 2_000 + at, "c": 1, "d": "in", "f": frame if isinstance(frame, str) else json.dumps(frame)} for at, frame in enumerate(frames)
    ]
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in lines)


CAPTURE = capture(trade(1), "no JSON", trade(2), trade(2), trade(5))


async def test_a_byte_order_mark_is_no_part_of_a_capture(tmp_path: Path) -> None:
    """An editor that was used to cut a capture may add the mark. A capture in another encoding is an error that names the encoding."""
    file = tmp_path / "capture.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + CAPTURE)
    done = await crosstape("normalize", "kraken", str(file), "--quiet")
    assert done.code == Exit.OK
    assert len(done.out.splitlines()) == len((await crosstape("normalize", "kraken", stdin=CAPTURE)).out.splitlines())

    file.write_bytes(CAPTURE.decode().encode("utf-16"))
    done = await crosstape("normalize", "kraken", str(file))
    assert done.code != Exit.OK
    assert done.err == f"crosstape: {file}: not the first line of a capture: it is UTF-16: save it as UTF-8\n"
    played = await crosstape("simulate", "--play", str(file), CROSSTAPE_TELEMETRY__LOG_FORMAT="json")
    assert json.loads(played.err)["error"] == f"{file}: not a capture: it is UTF-16: save it as UTF-8"


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("way", ["file", "-", "nothing named"])
async def test_a_capture_becomes_events(tmp_path: Path, way: str, *, packed: bool) -> None:
    """A file and a pipe, plain and zstd, give the same bytes; the summary is separate."""
    data = zstandard.compress(CAPTURE) if packed else CAPTURE
    file = tmp_path / "capture"
    file.write_bytes(data)
    arguments = {"file": [str(file)], "-": ["-"], "nothing named": []}[way]

    done = await crosstape("normalize", "kraken", *arguments, stdin=b"" if way == "file" else data)

    assert done.code == Exit.OK
    events = [decode(text) for text in done.out.splitlines()]
    trades = [event for event in events if isinstance(event, Trade)]
    assert [event.trade_id for event in trades] == ["1", "2", "5"]
    assert [event.seq for event in trades] == [1, 2, 3]
    assert str(trades[0].price) == "64250.1"
    assert {event.epoch for event in events} == {0}
    assert any(isinstance(event, Status) for event in events)
    summary = json.loads(done.err)
    assert (summary["frames"], summary["duplicates"], summary["unhandled"]) == (5, 1, {"malformed": 1})
    assert summary["first_unhandled"][0]["frame"] == "no JSON"
    assert summary["gaps"] == {"trade sequence": 1}


async def test_the_summary_can_be_left_out() -> None:
    """Scripts may not need the summary."""
    assert (await crosstape("normalize", "kraken", "-", "--quiet", stdin=CAPTURE)).err == ""


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "standard input: not the first line of a capture"),
        (b"hello\n", "standard input: not the first line of a capture"),
        (CAPTURE + b"{cut", "standard input: line 8 of the capture"),
        (zstandard.compress(CAPTURE * 100)[:60], "standard input: "),
        (b"\x28\xb5\x2f\xfd nonsense", "standard input: incomplete zstd"),
        (capture(venue="binance"), "standard input: a capture of 'binance', not of 'kraken'"),
    ],
)
async def test_what_is_no_capture_is_told(data: bytes, expected: str) -> None:
    """The error is one line, with an exit code."""
    done = await crosstape("normalize", "kraken", stdin=data)

    assert done.code == Exit.FAILED
    assert done.err.startswith(f"crosstape: {expected}")
    assert len(done.err.splitlines()) == 1


def ohlc(minute: int, close: float) -> dict[str, Any]:
    """A frame as https://docs.kraken.com/api/docs/websocket-v2/ohlc has it."""
    row = {
        "symbol": "BTC/USD", "open": 64250.1, "high": 64260.0, "low": 64240.0, "close": close, "trades": 3, "volume": 0.25000000,
        "vwap": 64251.0, "interval_begin": f"2026-11-20T12:{minute:02}:00.000000000Z", "interval": 1,
        "timestamp": f"2026-11-20T12:{minute + 1:02}:00.000000Z",
    }  # fmt: skip
    return {"channel": "ohlc", "type": "update", "timestamp": f"2026-11-20T12:{minute:02}:30.5Z", "data": [row]}


async def test_candles_are_printed_where_they_are_asked_for() -> None:
    """The beginning of the next minute closes the one before. They are numbered by timeframe."""
    data = capture(ohlc(1, 64251.0), ohlc(1, 64252.5), ohlc(2, 64253.0), trade(1))
    done = await crosstape("normalize", "kraken", "--candles", "1m,5m", "--quiet", stdin=data)
    candles = [event for text in done.out.splitlines() if isinstance(event := decode(text), Candle)]

    assert done.code == Exit.OK
    assert [(one.timeframe, str(one.close), one.closed, one.seq) for one in candles] == [
        ("1m", "64251.0", False, 1),
        ("1m", "64252.5", False, 2),
        ("1m", "64252.5", True, 3),
        ("1m", "64253.0", False, 4),
    ]
    without = await crosstape("normalize", "kraken", "--quiet", stdin=data)
    assert not any(isinstance(decode(text), Candle) for text in without.out.splitlines())
    refused = await crosstape("normalize", "kraken", "--candles", "1m,4hr", stdin=data)
    assert (refused.code, refused.err) == (Exit.USAGE, "crosstape: --candles 4hr: did you mean 4h?\n")
    refused = await crosstape("normalize", "kraken", "--candles", "1m,3m", stdin=data)
    assert (refused.code, refused.out) == (Exit.USAGE, b"")
    assert refused.err == "crosstape: --candles 3m: there are no such candles; the venue has 1m, 5m, 15m, 30m, 1h, 4h, 1d\n"


async def test_events_come_before_the_end_of_a_pipe() -> None:
    """`tail -f capture | crosstape normalize` is of use; Ctrl-C ends it."""
    async with started("normalize", "kraken", "-") as process:
        assert process.stdin is not None
        process.stdin.write(capture(*(trade(number) for number in range(5_000))))
        await process.stdin.drain()
        assert decode(await line(process))

        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), 30)


async def test_a_summary_of_a_reader_gone_is_not_given(tmp_path: Path) -> None:
    """`crosstape normalize … | head -1` ends quietly."""
    file = tmp_path / "capture"
    file.write_bytes(capture(*(trade(number) for number in range(5_000))))
    reading, writing = os.pipe()
    async with started("normalize", "kraken", str(file), output=writing) as process:
        os.close(writing)
        assert os.read(reading, 10)
        os.close(reading)
        _, err = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, err) == (Exit.OK, b"")
