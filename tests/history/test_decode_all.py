"""Many events are decoded at once if that gives exactly what each gives alone; their texts are kept as lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape.bus.read.entry import Run
from crosstape.history.arrow import array_of, events_of, table_of
from crosstape.history.columns import BatchBuilder, ColumnType
from crosstape.history.lines import Lines
from crosstape.history.text_events import decode, decode_all
from crosstape_schemas import encode
from tests.history.test_columns import TRADE
from tests.schemas.strategies import events

OTHER = TRADE.replace(b'"seq":12', b'"seq":13').replace(b"67000.50", b"0.1")


def test_many_trades_have_columns() -> None:
    """One for each field, with the values of all events, in their order."""
    decoded = decode_all([TRADE, OTHER])

    assert decoded is not None
    assert decoded.columns is not None
    assert list(decoded.events) == [decode(TRADE), decode(OTHER)]
    assert decoded.columns["price"] == ("67000.50", "0.1")
    assert decoded.columns["seq"] == (12, 13)
    assert decoded.lines == TRADE + b"\n" + OTHER


@pytest.mark.parametrize(
    "data",
    [
        [TRADE, TRADE[:-1] + b',"more":1}'],
        [TRADE, OTHER + b" "],
        [TRADE, TRADE + b"\n" + OTHER],
        [TRADE, b"", TRADE + b"\n" + OTHER],
        [TRADE, OTHER[:40], OTHER[40:]],
        [TRADE, b'{"type":"trade"', OTHER.replace(b'{"type":"trade",', b"") + b"\n" + TRADE],
        [TRADE, OTHER + OTHER],
        [TRADE, b"no event"],
        [TRADE, OTHER.replace(b'"seq":13', b'"seq":99999999999999999999')],
        [b""],
    ],
)
def test_what_is_not_all_of_one_event_is_looked_at_alone(data: list[bytes]) -> None:
    """Two entries that are events only together are none."""
    assert decode_all(data) is None


@given(st.lists(events("trade"), min_size=1, max_size=4) | st.lists(events(), min_size=1, max_size=2))
def test_together_they_are_as_alone(some: list[object]) -> None:
    """Whatever the events are."""
    data = [encode(event) for event in some]  # type: ignore[arg-type]

    decoded = decode_all(data)

    if decoded is not None:
        assert list(decoded.events) == [decode(one) for one in data]
        kind = decoded.events[0].__struct_config__.tag
        builder = BatchBuilder(kind, "events")
        builder.extend_run(Run("s", [b"1-%d" % number for number in range(len(data))], decoded))
        assert events_of(table_of(builder.build())) == data


@given(st.lists(st.lists(st.one_of(st.none(), st.text(), st.sampled_from(["buy", "a\nb", ""])), min_size=1)))
def test_lines_are_the_values(parts: list[list[str | None]]) -> None:
    """As a sequence, and as an array; with nulls, empty texts and line feeds."""
    lines = Lines()
    for part in parts:
        lines.extend(part)

    values = [value for part in parts for value in part]
    assert len(lines) == len(values)
    assert lines == values
    assert array_of(lines, ColumnType.TEXT).to_pylist() == values
