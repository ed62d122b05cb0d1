"""Hypothesis strategies for every kind of event, made from the structs themselves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from crosstape_schemas import KINDS, Event, field_types

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=0, max_value=10**12) | st.sampled_from(
    [Decimal("0E-8"), Decimal("1E+3"), Decimal("12700.00"), Decimal("0.000000000000000001"), Decimal("-0.00000061"), Decimal("0E-18")]
)
TIMES = st.integers(0, 2**63 - 1)

st.register_type_strategy(Decimal, DECIMALS)
st.register_type_strategy(int, TIMES)
st.register_type_strategy(str, st.text(st.characters(codec="utf-8"), max_size=12))


def events(*kinds: str) -> st.SearchStrategy[Event]:
    """Any event of these kinds; of all kinds if none is named."""
    return st.one_of([_of(KINDS[kind]) for kind in kinds or KINDS])


def _of(cls: type[Any]) -> st.SearchStrategy[Any]:
    return st.builds(cls, **_all_fields(cls))


def _all_fields(cls: type[Any]) -> dict[str, st.SearchStrategy[Any]]:
    """A strategy for each field: `builds` alone would leave those with defaults at them."""
    return {name: st.from_type(hint) for name, hint in field_types(cls).items() if name in cls.__struct_fields__}
