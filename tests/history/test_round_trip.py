"""Every event comes back from every store byte for byte, whatever is in it."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstape.history import text_events
from crosstape.history.batch import Batch
from crosstape.history.columns import BatchBuilder
from crosstape.history.query import Query
from crosstape_schemas import KINDS, encode
from tests.history.batches import read, trade
from tests.history.stores import StoreFactory
from tests.schemas.strategies import events

DIGITS = st.from_regex(re.compile(r"-?[0-9]{1,60}(\.[0-9]{1,60})?", re.ASCII), fullmatch=True)
ODD = st.sampled_from(["1E+3", "+1", " 1", "007", "-0.0", ".5", "1_0", "NaN", "Infinity", "1E-400", "350000000000000000000"])


@st.composite
def trades(draw: st.DrawFn) -> bytes:
    """The JSON of a trade with a price of any digits or spelling, as we write it or as somebody else may."""
    price = draw(DIGITS | ODD)
    data = encode(trade(draw(st.integers(1, 10**6)))).replace(b'"price":"', b'"price":"' + price.encode() + b'","was":"', 1)
    was = draw(st.sampled_from([b"", b'"a_newer_field":{"x":[1,null]},', b" "]))
    return re.sub(rb'"was":"[^"]*",', was, data, count=1)


def rows(some: list[bytes]) -> Batch:
    """The events, all of one kind, as they came from one stream."""
    decoded = [text_events.decode(one) for one in some]
    builder = BatchBuilder(text_events.kind_of(decoded[0]), "events")
    for number, (event, one) in enumerate(zip(decoded, some, strict=True)):
        builder.add(1_000, number, event, one)
    made = builder.build()
    assert not builder.refused
    return made


@pytest.mark.slow
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
async def test_every_kind_is_read_as_it_was_written(store_factory: StoreFactory, data: st.DataObject) -> None:
    """All 16 kinds: any text, any time of 64 bits, any digits."""
    store = await store_factory()
    for kind in KINDS:
        some = [encode(event) for event in data.draw(st.lists(events(kind), min_size=1, max_size=4))]
        if kind == "trade":
            some += data.draw(st.lists(trades(), max_size=20))
        number = (await store.position(kind)).number
        before = await read(store, Query(kind=kind, newest_revisions=False))

        assert await store.append(rows(some), {}, after=number) == number + 1

        assert sorted(await read(store, Query(kind=kind, newest_revisions=False))) == sorted(before + some)
