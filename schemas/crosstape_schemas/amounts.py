"""Prices and sizes of events: decimals for whoever reads the tape, their text for whoever only passes them on.

A connector reads digits and writes the same digits: a `Decimal` between the two would be made only to be written as text again. So `Trade`
and `Quote` are generic: `Trade` alone is `Trade[Decimal]`, what every reader gets; `Trade[Amount]` has the text. At run time both are one
class, and their JSON is the same.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NewType, TypeAlias, get_type_hints

from crosstape_schemas import plain

Amount = NewType("Amount", str)
"""A number above or equal to zero as it is on the tape: its digits in plain notation, as `0.00000061`. Whoever makes one has checked that
it is a number; `Decimal(amount)` is exact."""

AnyNumber: TypeAlias = Decimal | Amount
"""A price or a size in either form."""

if TYPE_CHECKING:  # a default for a type variable comes with Python 3.13; msgspec goes by the bound: what is not said is a Decimal
    from typing_extensions import TypeVar

    Number_co = TypeVar("Number_co", bound=AnyNumber, default=Decimal, covariant=True)
else:
    from typing import TypeVar

    Number_co = TypeVar("Number_co", bound=Decimal, covariant=True)


def to_amount(number: Decimal) -> Amount:
    """Returns the text of a number that is not negative and finite."""
    return Amount(plain.text(number))


def field_types(cls: type[Any]) -> dict[str, Any]:
    """Returns field → type of an event, or of a struct in one, as a reader gets it: its numbers are decimals."""
    return {name: _with_decimals(hint) for name, hint in get_type_hints(cls).items()}


def _with_decimals(hint: Any) -> Any:
    if hint is Number_co:
        return Decimal
    return hint[Decimal] if Number_co in getattr(hint, "__parameters__", ()) else hint
