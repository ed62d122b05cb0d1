"""The address of a history in PostgreSQL: what it may be, and that its password is in no text."""

from __future__ import annotations

import pytest

from crosstape.errors import HistoryError
from crosstape.history.opening import open_store
from crosstape.history.postgres.address import Address, parse
from crosstape.history.postgres.store import PostgresStore
from crosstape.settings import Settings


@pytest.mark.parametrize(
    ("url", "expected", "schema", "shown"),
    [
        ("postgresql://h/db", "postgresql://h/db", "crosstape", "postgresql://h/db"),
        ("postgres://me:pw@h:5432/db", "postgresql://me:pw@h:5432/db", "crosstape", "postgresql://h:5432/db"),
        ("postgresql+asyncpg://me@h/db?schema=tape_2", "postgresql://me@h/db", "tape_2", "postgresql://h/db"),
        (
            "postgresql://a:1,b:2/db?sslmode=verify-full",
            "postgresql://a:1,b:2/db?sslmode=verify-full",
            "crosstape",
            "postgresql://a:1,b:2/db",
        ),
        ("postgresql://me@[::1]:5432/db", "postgresql://me@[::1]:5432/db", "crosstape", "postgresql://[::1]:5432/db"),
        (
            "postgresql:///db?host=/run/postgresql&schema=x",
            "postgresql:///db?host=%2Frun%2Fpostgresql",
            "x",
            "postgresql:///run/postgresql/db",
        ),
    ],
)
def test_an_address(url: str, expected: str, schema: str, shown: str) -> None:
    """What asyncpg knows it gets; the schema is ours; what is shown has neither user nor password."""
    address = parse(url)

    assert (address.url, address.schema, address.shown) == (expected, schema, shown)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
async def test_a_host_s_variable_names_it(scheme: str) -> None:
    """As hosts set `DATABASE_URL`, for whichever driver. Nothing connects before it is needed."""
    async with open_store(Settings(), {"DATABASE_URL": f"{scheme}://me:pw@db.example/tape"}) as store:
        assert repr(store) == "PostgresStore('postgresql://db.example/tape')"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://me:s3cret@h/db", "begins with postgresql://"),
        ("postgresql://me:s3cret@x@h/db", "%40"),
        ("postgresql://me:s3c/ret@h/db", "%2F"),
        ("postgresql://me:s3c#ret@h/db", "%23"),
        ("postgresql://me:s3c?ret@h/db", "no URL"),
        ("postgresql://me:s3cret@h:port/db", "a port is a number"),
        ("postgresql://me:s3cret@[::1/db", "no URL"),
        ("postgresql://me:s3cret@h/db?schema=a-b", "no name of a schema"),
        ("postgresql://me:s3cret@h/db?schema=", "no name of a schema"),
    ],
)
def test_a_wrong_address_says_what_is_wrong(url: str, reason: str) -> None:
    """And nothing of the password, which is where such addresses go wrong."""
    with pytest.raises(HistoryError, match=reason) as caught:
        PostgresStore(url)

    assert "s3c" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_text_has_the_password() -> None:
    """Neither as it is written in the address, nor as it is."""
    address = parse("postgresql://me:s3%20cret@h/db?sslpassword=k3y")

    assert address == Address(address.url, "crosstape", "postgresql://h/db", ("s3%20cret", "s3 cret", "k3y"))
    assert not any(secret in text for text in (repr(address), str(address), address.shown) for secret in address.secrets)
    assert address.hide("no s3 cret,\nno s3%20cret, no k3y") == "no ***, no ***, no ***"
