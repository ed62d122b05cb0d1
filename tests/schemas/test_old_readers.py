"""Readers that were written against the first contract keep working: what it had is there, and what is new has a default."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crosstape_schemas import KINDS, Exclusion, FeedState, Gap, GapCause, Leg, Market, Side, Vwap, decode

FIRST = json.loads(Path(__file__).with_name("first_contract.json").read_text())
"""`fields`: struct → field → annotation; `words`: enumeration → its values."""
STRUCTS: dict[str, type[msgspec.Struct]] = {**KINDS, "Leg": Leg, "Vwap": Vwap}
WORDS = {one.__name__: one for one in (Side, FeedState, GapCause, Market, Exclusion)}


def annotation(struct: type[Any], field: str) -> str:
    """Returns the annotation as the struct, or the base that defines the field, has it; its numbers are decimals for whoever reads."""
    return next(
        str(found[field]).replace("Number_co", "Decimal") for base in struct.__mro__ if field in (found := inspect.get_annotations(base))
    )


@pytest.mark.parametrize("name", FIRST["fields"])
def test_what_a_reader_knows_is_still_there(name: str) -> None:
    """Each old field has the same type. Each new field has a default, so that an event without it is still valid."""
    struct, first = STRUCTS[name], FIRST["fields"][name]
    now = {field.encode_name: field for field in msgspec.structs.fields(struct)}

    assert {field: annotation(struct, field) for field in first} == first
    assert [field for field in now if field not in first and now[field].required] == []


@pytest.mark.parametrize("name", FIRST["words"])
def test_no_word_has_gone(name: str) -> None:
    """A program that compares values of enumerations finds all that it knows."""
    assert set(FIRST["words"][name]) <= {word.value for word in WORDS[name]}


def test_an_event_of_the_first_contract_is_read() -> None:
    """During an upgrade an old connector writes such events, without the new fields."""
    gap = decode(
        b'{"type":"gap","venue":"v","instrument":"A-B","venue_ts":null,"received_ts":3,"kind":"trade","from_ts":1,"to_ts":2,'
        b'"missed":1,"cause":"disconnect","repaired":true,"epoch":1,"seq":1}'
    )

    assert isinstance(gap, Gap)
    assert gap.nonexistent == 0


def test_a_word_of_a_newer_producer_loses_no_event() -> None:
    """A reason or cause that this reader does not know is one that it cannot name, and the event is there."""
    leg = b'{"venue":"v","bid_price":null,"bid_size":null,"ask_price":null,"ask_size":null,"quote_ts":null,"state":"live","excluded":"x"'

    assert msgspec.json.decode(leg + b',"epoch":1,"seq":1}', type=Leg).excluded is Exclusion.OTHER
    assert GapCause("x") is GapCause.UNKNOWN
