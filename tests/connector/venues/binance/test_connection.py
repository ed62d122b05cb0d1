"""A frame of a stream that was met before is cut, and only its data are decoded: it must become what it becomes part by part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venues.binance import connection, stream
from crosstape_connector.venues.messages import Output
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Instrument
from tests.connector.venues.golden import frames_of, symbols_of

BINANCE: Final = frames_of("binance")
NAMES: Final = ("trade", "book_ticker", "book_ticker_one_side", "depth", "ticker", "kline")
HEAD, BETWEEN = b'{"stream":"', b'","data":'
PIECES: Final = (
    b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"\x00", b"\xff", b"\\u0074", b"0", b".", b"e5", b"null", b"{}",
    b',"stream":"x"', b',"stream":{}', b',"stream":"ethusdt@trade"', b',"data":{}', b',"data":null', b',"x":1', b'"data":', b'"stream":',
)  # fmt: skip


def found(parser: stream.Parser, frame: bytes) -> Sequence[Output] | str:
    """The outputs of a frame, or its error."""
    try:
        return list(parser(frame, 7))
    except FRAME_ERRORS as exc:
        return f"{type(exc).__name__}: {exc}"


def warm() -> stream.Parser:
    """A parser that has met the streams of all examples."""
    parser = stream.Parser(symbols_of("binance"))
    for name in NAMES:
        parser(BINANCE[name], 7)
    return parser


class Slow(stream.Parser):
    """Reads every frame part by part."""

    __slots__ = ()

    def keep(self, stream: str, route: connection.Route[Any]) -> connection.Route[Any]:
        """Keep no head."""
        super().keep(stream, route)
        self._heads.clear()
        return route


def slow(symbols: Symbols | None = None) -> Slow:
    """A parser that has met the same, and learnt nothing."""
    parser = Slow(symbols_of("binance") if symbols is None else symbols)
    for name in NAMES if symbols is None else ():
        parser(BINANCE[name], 7)
    return parser


@given(
    name=st.sampled_from(NAMES),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.sampled_from(PIECES) | st.binary(max_size=2)), max_size=3),
)
def test_any_frame_becomes_what_it_becomes_part_by_part(name: str, changes: list[tuple[float, int, bytes]]) -> None:
    """Outputs and errors, however a frame is damaged."""
    frame = BINANCE[name]
    for place, dropped, piece in changes:
        at = round(place * len(frame))
        frame = frame[:at] + piece + frame[at + dropped :]

    assert found(warm(), frame) == found(slow(), frame)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "tail",
    [
        b"]", b" ", b"", b"}}", b"} ", b"}\n", b'}"',
        b',"stream":"ethusdt@trade"}', b',"stream":{}}', b',"stream":1}', b',"data":{}}', b',"x":{}}',
    ],
)  # fmt: skip
def test_what_follows_the_data_is_not_overlooked(name: str, tail: bytes) -> None:
    """Another `stream` or `data`, a bracket of the other kind, or none."""
    frame = BINANCE[name].removesuffix(b"}") + tail

    assert found(warm(), frame) == found(slow(), frame)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrapper_may_be_written_in_any_way(name: str) -> None:
    """In another order, with spaces, with escapes."""
    stream_name, _, rest = BINANCE[name].removeprefix(HEAD).partition(BETWEEN)
    data = rest[:-1]
    ways = (
        b'{"data":%b,"stream":"%b"}' % (data, stream_name),
        b'{ "stream" : "%b" , "data" : %b }' % (stream_name, data),
        b'{"stream":"%b","data":%b}' % (stream_name.replace(b"@", b"\\u0040"), data),
        b'{"\\u0073tream":"%b","data":%b}' % (stream_name, data),
    )
    wanted = found(slow(), BINANCE[name])

    assert wanted
    assert [found(warm(), way) for way in ways] == [wanted] * len(ways)


def test_the_data_of_a_known_stream_are_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wrapper is not: this is the gain."""
    parser = warm()
    monkeypatch.setattr(connection, "_envelope", None)

    assert all(parser(BINANCE[name], 7) for name in NAMES)


@given(name=st.text(alphabet='ab"\\\u00df,:{}', max_size=8))
def test_a_symbol_may_need_escapes(name: str) -> None:
    """Its head is the text of a JSON string, so that no other frame begins like it."""
    symbols = {name.upper(): Instrument("A-B", "binance", name.upper(), "A", "B")}
    data = b'{"t":1,"p":"1","q":"2","T":3,"m":true}'
    frame = b'{"stream":%b,"data":%b}' % (msgspec.json.encode(f"{name}@trade"), data)
    raw = b'{"stream":"%b@trade","data":%b}' % (name.encode(), data)
    parser = stream.Parser(symbols)

    assert [found(parser, one) for one in (frame, frame, raw)] == [found(slow(symbols), one) for one in (frame, frame, raw)]
