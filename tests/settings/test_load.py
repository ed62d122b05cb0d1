"""Settings: what is read is what was meant, and every mistake is named before anything starts."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape.errors import SettingsError
from crosstape.settings import Settings, VenueSettings
from crosstape.settings.environment import variable_of
from crosstape.settings.load import load
from crosstape.settings.model import Kind
from crosstape.settings.words import describe
from crosstape_schemas import KINDS, TIMEFRAMES

SECRET = "hunter2"
NULS = "it holds NUL bytes, as UTF-16 without a byte order mark does: save it as UTF-8"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A settings file, empty so far."""
    path = tmp_path / "crosstape.toml"
    path.touch()
    return path


def test_nothing_set_is_the_defaults() -> None:
    """A start without a file is useful at once."""
    settings = load(None, {})

    assert settings == Settings()
    assert set(settings.venues) == {"binance", "coinbase", "kraken", "bitfinex", "binance_usdm"}
    assert "BTC-USDT" in settings.venues["kraken"].instruments
    for name in ("BTC-USDT", "BTC-USD", "BTC-USDT-PERP"):  # each can be consolidated from several venues
        assert sum(name in venue.instruments for venue in settings.venues.values()) >= 2


def test_the_environment_lies_over_the_file(file: Path) -> None:
    """A container changes one key without a new file."""
    file.write_text("[bus]\nbatch = 10\ntimeout_s = 2\n[telemetry]\nlog_level = 'debug'\n")

    settings = load(file, {"CROSSTAPE_BUS__BATCH": "20", "CROSSTAPE_AGGREGATOR__OUTLIER_BPS": "12.5", "UNRELATED": "x"})

    assert (settings.bus.batch, settings.bus.timeout_s, settings.telemetry.log_level) == (20, 2.0, "debug")
    assert settings.aggregator.outlier_bps == Decimal("12.5")


def test_an_old_name_of_a_setting_is_read(file: Path) -> None:
    """Old names are read from the file and the environment, for one release; errors use the new name."""
    file.write_text("[connector]\nline = 'a'\n")

    assert load(file, {}).connector.replica == "a"
    assert load(file, {"CROSSTAPE_CONNECTOR__REPLICA": "b"}).connector.replica == "b"
    assert load(None, {"CROSSTAPE_CONNECTOR__LINE": "c"}).connector.replica == "c"
    old_names: list[str] = []
    load(None, {"CROSSTAPE_CONNECTOR__LINE": "c", "CROSSTAPE_CONNECTOR__LEASE_S": "2"}, old_names)
    assert old_names == ["connector.line (CROSSTAPE_CONNECTOR__LINE) is now connector.replica"]
    with pytest.raises(SettingsError, match=r"connector\.replica = .*\(CROSSTAPE_CONNECTOR__LINE\)"):
        load(None, {"CROSSTAPE_CONNECTOR__LINE": "a b"})
    file.write_text("[connector]\nline = 'a'\nreplica = 'b'\n")
    with pytest.raises(SettingsError, match=r"connector\.line .*: this is the old name of connector\.replica; leave it out"):
        load(file, {})


def test_the_environment_can_name_the_file(file: Path) -> None:
    """For platforms where no option can be given."""
    file.write_text("[bus]\nprefix = 'other'\n")

    assert load(None, {"CROSSTAPE_SETTINGS": str(file)}).bus.prefix == "other"


def test_decimals_do_not_pass_through_floats(file: Path) -> None:
    """The digits of the file are the digits of the setting."""
    file.write_text("[aggregator]\noutlier_bps = 0.1\n")

    assert load(file, {}).aggregator.outlier_bps == Decimal("0.1")


def test_a_named_venue_keeps_what_the_file_does_not_say(file: Path) -> None:
    """The file sets one key of one venue; all other keys and venues keep their defaults."""
    file.write_text("[venues.kraken]\nbook_depth = 25\n[venues.other]\ninstruments = ['A-B']\n")

    venues = load(file, {}).venues

    defaults = Settings().venues
    assert venues["kraken"] == msgspec.structs.replace(defaults["kraken"], book_depth=25)
    assert venues["binance"] == defaults["binance"]
    assert venues["other"] == VenueSettings(instruments=("A-B",))


def test_a_dot_in_a_venues_name_is_two_underscores() -> None:
    """The name of a variable has no dot."""
    found = load(None, {"CROSSTAPE_VENUES__CCXT__BITVAVO__INSTRUMENTS": "BTC-EUR", "CROSSTAPE_VENUES__CCXT__GATE__WS_URL__BOOKS": "ws://x"})

    assert found.venues["ccxt.bitvavo"].instruments == ("BTC-EUR",)
    assert found.venues["ccxt.gate"].ws_url == {"books": "ws://x"}
    assert variable_of(("venues", "ccxt.gate", "proxy")) == "CROSSTAPE_VENUES__CCXT__GATE__PROXY"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("INSTRUMENTS", "BTC-USD, ETH-USD", ("BTC-USD", "ETH-USD")),
        ("INSTRUMENTS", '["BTC-USD"]', ("BTC-USD",)),
        ("INSTRUMENTS", "['BTC-USD']", ("BTC-USD",)),
        ("INSTRUMENTS", "", ()),
        ("KINDS", "trade,quote", ("trade", "quote")),
        ("CANDLES", "1m, 1h", ("1m", "1h")),
        ("ENVIRONMENT", "testnet", "testnet"),
        ("ENABLED", "false", False),
        ("ENABLED", "1", True),
        ("BOOK_DEPTH", "25", 25),
        ("SILENCE_S", "2.5", 2.5),
        ("WS_URL", "ws://127.0.0.1:1", "ws://127.0.0.1:1"),
        ("WS_URL", '{market = "ws://127.0.0.1:1"}', {"market": "ws://127.0.0.1:1"}),
        ("WS_URL", '{"market": "ws://127.0.0.1:1"}', {"market": "ws://127.0.0.1:1"}),
        ("WS_URL__MARKET", "ws://127.0.0.1:1", {"market": "ws://127.0.0.1:1"}),
    ],
)
def test_the_environment_speaks_every_type(name: str, text: str, value: object) -> None:
    """Lists by commas, or as TOML or JSON; tables as TOML or JSON, or one variable a key."""
    venue = load(None, {f"CROSSTAPE_VENUES__KRAKEN__{name}": text}).venues["kraken"]

    assert getattr(venue, name.partition("__")[0].lower()) == value


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("[bus]\nbacth = 1", ["bus.bacth", "did you mean bus.batch?"]),
        ("[buss]\nbatch = 1", ["buss", "did you mean bus?"]),
        ("frob = 1", ["frob", "bus, run, telemetry, connector, aggregator, gateway, recorder, venues"]),
        ("[venues.kraken]\nwsurl = 'x'", ["venues.kraken.wsurl", "did you mean venues.kraken.ws_url?"]),
        ("[bus]\nbatch = 0", ["bus.batch = 0", "expected a whole number ≥ 1"]),
        ("[bus]\nbatch = 1.5", ["bus.batch = ", "1.5", "a whole number"]),
        ("[bus]\nbatch = true", ["bus.batch = true", "a whole number"]),
        ("[bus]\ntimeout_s = 0", ["bus.timeout_s = 0", "a number > 0"]),
        ("[bus]\ntimeout_s = inf", ["bus.timeout_s", "a number > 0"]),
        ("[bus]\ntimeout_s = nan", ["bus.timeout_s", "a number > 0"]),
        ("[bus.max_len]\ntrade = 'many'", ["bus.max_len.trade", '"many"', "a whole number ≥ 1"]),
        ("[aggregator]\noutlier_bps = 0", ["aggregator.outlier_bps = 0", "a number > 0"]),
        ("[aggregator]\noutlier_bps = nan", ["aggregator.outlier_bps", "a number > 0"]),
        ("[telemetry]\nlog_level = 'inf'", ["telemetry.log_level", '"debug"', 'did you mean "info"?']),
        ("[telemetry]\nlog_level = 'x'", ["telemetry.log_level", 'one of "debug", "error", "info", "warning"']),
        ("[telemetry]\nhttp_port = 70000", ["telemetry.http_port = 70000", "≥ 0 and ≤ 65535"]),
        ("[venues.kraken]\nkinds = ['trade', 'qoute']", ["venues.kraken.kinds", 'did you mean "quote"?']),
        ("[venues.kraken]\nkinds = ['open_intrest']", ["venues.kraken.kinds", 'did you mean "open_interest"?']),
        (
            "[venues.kraken]\nkinds = ['trade', 'candle']",
            ["venues.kraken.kinds", 'a setting of their own, beside this one: candles = ["1m"]'],
        ),
        ("[venues.kraken]\nkinds = ['candle:1m']", ["venues.kraken.kinds", 'a setting of their own, beside this one: candles = ["1m"]']),
        (
            "[venues.kraken]\ncandles = ['minute', '1h']",
            ["venues.kraken.candles", '["minute", "1h"]', 'expected a list of timeframes, such as ["1m"]'],
        ),
        ("[venues.kraken]\ncandles = ['']", ["venues.kraken.candles", 'expected a list of timeframes, such as ["1m"]']),
        ("[venues.kraken]\ncandles = '1m'", ['venues.kraken.candles = "1m"', 'expected a list of timeframes, such as ["1m"]']),
        ("[venues.kraken]\nenviroment = 'testnet'", ["venues.kraken.enviroment", "did you mean venues.kraken.environment?"]),
        ("[venues.kraken]\nkinds = 3", ["venues.kraken.kinds = 3", "a list of one of"]),
        ("[venues.kraken]\ninstruments = 'BTC-USD'", ["venues.kraken.instruments", "a list of text"]),
        ("[venues.kraken]\nws_url = 1", ["venues.kraken.ws_url = 1", "text or a table of text"]),
        ("[venues.kraken]\nenabled = 'no'", ["venues.kraken.enabled", "true or false"]),
        ("[venues]\nkraken = 1", ["venues.kraken = 1", "expected a table"]),
        ("bus = 'redis://x'", ["bus = ", "expected a table"]),
        ("venues = ['kraken']", ["venues = ", "expected a table"]),
        ("[bus]\nurl = 3", ["bus.url", "text"]),
        ("[bus\n", ["not TOML", "line 1"]),
    ],
)
def test_a_mistake_in_the_file_is_named(file: Path, toml: str, expected: list[str]) -> None:
    """The error has the path, the value, the valid values, the nearest name, and the file."""
    file.write_text(toml)

    with pytest.raises(SettingsError) as caught:
        load(file, {})

    for part in [*expected, file.name]:
        assert part in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("CROSSTAPE_BUS__BACTH", "1", "did you mean bus.batch?"),
        ("CROSSTAPE_BUS__BATCH", "many", 'bus.batch = "many" (CROSSTAPE_BUS__BATCH): expected a whole number ≥ 1'),
        ("CROSSTAPE_BUS__BATCH", "[1", "expected a whole number ≥ 1"),
        ("CROSSTAPE_BUS_URL", "redis://x", "did you mean CROSSTAPE_BUS__URL"),
        ("CROSSTAPE_VENUES", "kraken", "did you mean CROSSTAPE_VENUES__<KEY>"),
        ("CROSSTAPE_BUS____URL", "redis://x", "did you mean CROSSTAPE_BUS__URL"),
        ("CROSSTAPE_VENUES__KRAKEN", "x", "expected a table"),
        ("CROSSTAPE_VENUES__KRAKEN__KINDS", "trade,qoute", 'did you mean "quote"?'),
        ("CROSSTAPE_VENUES__KRAKEN__WS_URL", "{x", "text or a table of text"),
        ("CROSSTAPE_AGGREGATOR__OUTLIER_BPS", "x", "a number > 0"),
        ("CROSSTAPE_GATEWAY__TOKEN_FILE", "x", "did you mean gateway.tokens_file?"),
        ("CROSSTAPE_GATEWAY__PORT", "65536", "expected a whole number ≥ 0 and ≤ 65535"),
        ("CROSSTAPE_GATEWAY__OPEN_TO", "all", 'expected one of "anywhere", "loopback"'),
        ("CROSSTAPE_GATEWAY__CLIENTS", "0", "expected a whole number ≥ 1"),
        ("CROSSTAPE_GATEWAY_PORT", "8090", "did you mean CROSSTAPE_GATEWAY__PORT"),
    ],
)
def test_a_mistake_in_the_environment_is_named(name: str, text: str, expected: str) -> None:
    """The error names the variable; a single underscore is an error, too, not ignored."""
    with pytest.raises(SettingsError) as caught:
        load(None, {name: text})

    assert expected in str(caught.value)
    assert name in str(caught.value)


def test_variables_that_are_not_settings_are_left_alone() -> None:
    """Other tools of ours have variables too."""
    assert load(None, {"CROSSTAPE_CORPUS": "/x", "CROSSTAPE_": "", "CROSSTAPE_SUPERVISED": "1"}) == Settings()


def test_kinds_of_feeds_have_a_kind_for_each_timeframe() -> None:
    """A timeframe that is named twice is one feed."""
    venue = VenueSettings(kinds=("trade", "mark"), candles=("1m", "1d", "1m"))

    assert venue.feed_kinds == ("trade", "mark", "candle:1m", "candle:1d")
    assert set(get_args(Kind)) == KINDS.keys() - {"candle", "gap", "cbbo", "bar", "depth", "edge"}


@pytest.mark.parametrize("timeframe", [*TIMEFRAMES, "3d", "7D", "14D", "1min", "1W"])
def test_what_may_be_a_timeframe_can_be_named(file: Path, timeframe: str) -> None:
    """Those of the contract, and others that venues have: its connector says why the venue's cannot be had."""
    file.write_text(f"[venues.kraken]\ncandles = ['{timeframe}']")

    assert load(file, {}).venues["kraken"].candles == (timeframe,)


def test_all_mistakes_are_told_at_once(file: Path) -> None:
    """One line for each: five mistakes do not need five starts."""
    file.write_text("x = 1\n[bus]\nbatch = 0\nurll = ''\n")

    with pytest.raises(SettingsError) as caught:
        load(file, {"CROSSTAPE_RUN__DRAIN_S": "never"})

    assert len(str(caught.value).splitlines()) == 4


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """The service does not start with the defaults."""
    with pytest.raises(SettingsError, match=r"nothing.toml: cannot read the settings file: No such file"):
        load(tmp_path / "nothing.toml", {})


@pytest.mark.parametrize(
    "toml",
    [
        f"[bus]\npassword = '{SECRET}'",
        f"[bus]\nurl = 'redis://user:{SECRET}@host/0'",
        f"[bus]\nurl = 'redis://:{SECRET}@host/0'",
        f"[bus]\nurl = 'redis://host/0?password={SECRET}'",
        f"[bus]\nurl = ['redis://user:{SECRET}@host']",
        f"[bus]\npassword = ['{SECRET}']",
        f"bus = 'redis://user:{SECRET}@host'",
    ],
)
def test_a_secret_in_the_file_is_refused_unseen(file: Path, toml: str) -> None:
    """Files are copied and committed; the message does not repeat the secret."""
    file.write_text(toml)

    with pytest.raises(SettingsError) as caught:
        load(file, {})

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "bus" in str(caught.value)


def test_secrets_come_from_the_environment_and_stay_out_of_sight() -> None:
    """Neither our repr nor rich's shows them, of a section or of all settings."""
    settings = load(None, {"CROSSTAPE_BUS__PASSWORD": SECRET, "CROSSTAPE_BUS__URL": f"rediss://user:{SECRET}@host:1/0?password={SECRET}"})

    assert settings.bus.password == SECRET
    assert SECRET in settings.bus.url
    for text in (repr(settings), str(settings.bus), repr(list(settings.bus.__rich_repr__()))):
        assert SECRET not in text
        assert "rediss://***@host:1/0?password=***" in text


def test_a_user_without_a_password_may_stand_in_the_file(file: Path) -> None:
    """A name is no secret."""
    file.write_text("[bus]\nurl = 'redis://reader@host/0'\n")

    assert load(file, {}).bus.url == "redis://reader@host/0"


@pytest.mark.parametrize("from_environment", [True, False])
def test_a_password_can_stand_in_a_file_of_its_own(tmp_path: Path, file: Path, *, from_environment: bool) -> None:
    """Container platforms mount such files; white space at the end, as editors add it, is ignored."""
    secret = tmp_path / "password"
    secret.write_text(f" {SECRET}\n")
    if not from_environment:
        file.write_text(f"[bus]\npassword_file = '{secret}'\n")

    assert load(file, {"CROSSTAPE_BUS__PASSWORD_FILE": str(secret)} if from_environment else {}).bus.password == SECRET


@pytest.mark.parametrize("content", [f"\ufeff{SECRET}\r\n", f"\ufeff {SECRET}", f"{SECRET}\r\n", f"{SECRET}\n\n", SECRET])
def test_how_an_editor_saved_a_password_does_not_matter(tmp_path: Path, content: str) -> None:
    """A byte order mark at the start and line ends of any kind are not part of the password."""
    secret = tmp_path / "password"
    secret.write_bytes(content.encode())

    assert load(None, {"CROSSTAPE_BUS__PASSWORD_FILE": str(secret)}).bus.password == SECRET


@pytest.mark.parametrize("text", ["\ufeff[bus]\nprefix = 'mine'\n", "\ufeff[bus]\r\nprefix = 'mine'\r\n", "[bus]\r\nprefix = 'mine'"])
def test_how_an_editor_saved_the_settings_does_not_matter(file: Path, text: str) -> None:
    """UTF-8 with a byte order mark, and line ends of Windows."""
    file.write_bytes(text.encode())

    assert load(file, {}).bus.prefix == "mine"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[bus]\nprefix = 'mine'\n".encode("utf-16"), "it is UTF-16: save it as UTF-8"),
        (b"\xfe\xff" + "[bus]\n".encode("utf-16-be"), "it is UTF-16: save it as UTF-8"),
        ("[bus]\n".encode("utf-16-le"), NULS),
        ("[bus]\n".encode("utf-32"), "it is UTF-32: save it as UTF-8"),
        ("[bus]\nprefix = 'é'\n".encode("latin-1"), "line 2 is not UTF-8"),
    ],
)
def test_settings_in_another_encoding_are_an_error(file: Path, content: bytes, expected: str) -> None:
    """The error names the file and the encoding, and says what to do."""
    file.write_bytes(content)

    with pytest.raises(SettingsError) as caught:
        load(file, {})

    assert str(caught.value) == f"{file}: cannot read the settings file: {expected}"


@pytest.mark.parametrize(
    ("option", "variables", "expected"),
    [
        ("~/crosstape.toml", {}, "~/crosstape.toml: cannot read the settings file: ~/crosstape.toml: there is no such home directory"),
        (None, {"CROSSTAPE_SETTINGS": "~nobody-here/x.toml"}, "cannot read the settings file: ~nobody-here/x.toml: there is no such home"),
        (
            None,
            {"CROSSTAPE_BUS__PASSWORD_FILE": "~/password"},
            'bus.password_file = "~/password" (CROSSTAPE_BUS__PASSWORD_FILE): ~/password:',
        ),
    ],
)
def test_a_home_that_there_is_not_is_an_error(
    option: str | None, variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container whose user is a number has no HOME and no entry in the user database."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 1_000_680_000)

    with pytest.raises(SettingsError) as caught:
        load(option, variables)

    assert expected in str(caught.value)


@pytest.mark.parametrize("key", ["password", "url"])
def test_the_environment_goes_before_the_settings_file(tmp_path: Path, file: Path, key: str) -> None:
    """Whichever of the two forms each of them has; a file that is not asked for is not read."""
    text, secret = "redis://elsewhere", tmp_path / "secret"
    secret.write_text(text)
    variable = f"CROSSTAPE_BUS__{key.upper()}"

    file.write_text(f"[bus]\n{key}_file = '{tmp_path / 'nothing'}'\n")
    assert getattr(load(file, {variable: text}).bus, key) == text
    assert getattr(load(file, {f"{variable}_FILE": str(secret)}).bus, key) == text
    assert getattr(load(file, {f"{variable}_FILE": ""}).bus, key) == ""
    if key == "url":
        file.write_text("[bus]\nurl = 'redis://here'\n")
        assert load(file, {f"{variable}_FILE": str(secret)}).bus.url == text


@pytest.mark.parametrize(("outright", "named"), [("hunter2", "/dev/null"), ("hunter2", "/nothing")])
def test_a_secret_given_twice_is_a_mistake(outright: str, named: str) -> None:
    """Nobody can say which was meant; both variables are named, the secret is not."""
    with pytest.raises(SettingsError) as caught:
        load(None, {"CROSSTAPE_BUS__PASSWORD": outright, "CROSSTAPE_BUS__PASSWORD_FILE": named})

    assert str(caught.value) == "CROSSTAPE_BUS__PASSWORD and CROSSTAPE_BUS__PASSWORD_FILE: both are given; leave one out"


@pytest.mark.parametrize("keys", [("url", "url_file"), ("url_file", "url")])
def test_a_secret_given_twice_in_the_settings_file_is_a_mistake(file: Path, keys: tuple[str, str]) -> None:
    """The order does not matter."""
    values = {"url": "redis://h", "url_file": "/dev/null"}
    file.write_text("[bus]\n" + "".join(f"{key} = '{values[key]}'\n" for key in keys))

    with pytest.raises(SettingsError, match=r"^bus\.url and bus\.url_file \(.*crosstape.toml\): both are given; leave one out$"):
        load(file, {})


def test_an_empty_variable_and_an_empty_file_are_no_secret(tmp_path: Path) -> None:
    """A deployment can then name both variables and leave both empty."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)

    assert load(None, {"CROSSTAPE_BUS__PASSWORD_FILE": "/dev/null"}) == Settings()
    assert load(None, {"CROSSTAPE_BUS__PASSWORD": "", "CROSSTAPE_BUS__PASSWORD_FILE": "/dev/null"}) == Settings()
    assert load(None, {"CROSSTAPE_BUS__PASSWORD": "", "CROSSTAPE_BUS__PASSWORD_FILE": str(secret)}).bus.password == SECRET
    assert load(None, {"CROSSTAPE_BUS__PASSWORD": SECRET, "CROSSTAPE_BUS__PASSWORD_FILE": ""}).bus.password == SECRET


def test_an_address_can_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    """An address may hold a password; an address from a file is hidden like any other."""
    secret = tmp_path / "url"
    secret.write_text(f"redis://user:{SECRET}@host\n")

    settings = load(None, {"CROSSTAPE_BUS__URL_FILE": str(secret)})

    assert settings.bus.url == f"redis://user:{SECRET}@host"
    assert SECRET not in repr(settings)


def test_a_proxy_is_as_hidden_as_an_address_of_the_bus(tmp_path: Path, file: Path) -> None:
    """It may hold a password: it is read from the environment or from a file of its own, never from the settings file."""
    url = f"http://user:{SECRET}@gate:3128"
    secret = tmp_path / "proxy"
    secret.write_bytes(f"\ufeff{url}\r\n".encode())

    for variables in ({"CROSSTAPE_VENUES__KRAKEN__PROXY_FILE": str(secret)}, {"CROSSTAPE_VENUES__KRAKEN__PROXY": url}):
        settings = load(None, variables)
        assert settings.venues["kraken"].proxy == url
        assert SECRET not in repr(settings)
    for text in (url, f"user:{SECRET}@gate:3128"):
        file.write_text(f"[venues.kraken]\nproxy = '{text}'\n")
        with pytest.raises(SettingsError, match=r"set CROSSTAPE_VENUES__KRAKEN__PROXY or venues.kraken.proxy_file") as caught:
            load(file, {})
        assert SECRET not in str(caught.value)
    file.write_text("[venues.kraken]\nproxy = ''\n")
    assert load(file, {}).venues["kraken"].proxy == ""
    assert load(None, {"CROSSTAPE_VENUES__KRAKEN__PROXY": ""}).venues["kraken"].proxy == ""
    assert load(None, {}).venues["kraken"].proxy == "environment"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file or directory"),
        (f"{SECRET}\nmore".encode(), "a line break stands within the secret"),
        (f"{SECRET}\r{SECRET}".encode(), "a line break stands within the secret"),
        (f"{SECRET}\0".encode(), f"cannot be read: {NULS}"),
        (SECRET.encode("utf-16"), "cannot be read: it is UTF-16: save it as UTF-8"),
        (b"\xfe\xff" + SECRET.encode("utf-16-be"), "cannot be read: it is UTF-16: save it as UTF-8"),
        (SECRET.encode("utf-16-le"), f"cannot be read: {NULS}"),
        (SECRET.encode("utf-32"), "cannot be read: it is UTF-32: save it as UTF-8"),
        (f"{SECRET}\xff".encode("latin-1"), "cannot be read: line 1 is not UTF-8"),
        (SECRET.encode() * 10_000, "longer than 65536 bytes: not a secret"),
    ],
)
@pytest.mark.parametrize("key", ["password", "url"])
def test_a_file_that_holds_no_secret_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, content: bytes | None, expected: str
) -> None:
    """It does not count as an empty password: the error names the variable and the path, and shows no content."""
    monkeypatch.chdir(tmp_path)
    secret = Path("secret")  # the message shows no more than 80 characters of a path
    if content is not None:
        secret.write_bytes(content)
    variable = f"CROSSTAPE_BUS__{key.upper()}_FILE"

    with pytest.raises(SettingsError) as caught:
        load(None, {variable: str(secret)})

    assert str(caught.value) == f'bus.{key}_file = "{secret}" ({variable}): {expected}'
    assert SECRET not in repr(caught.value.__context__)


def test_a_directory_or_a_strange_name_is_no_file_of_a_secret(tmp_path: Path, file: Path) -> None:
    """Some platforms make a directory where a secret was not mounted."""
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load(None, {"CROSSTAPE_BUS__PASSWORD_FILE": str(tmp_path)})
    file.write_text('[bus]\npassword_file = "a\\u0000b"\n')
    with pytest.raises(SettingsError, match="cannot be read: not the name of a file"):
        load(file, {})
    file.write_text("[bus]\npassword_file = 3\n")
    with pytest.raises(SettingsError, match=r"bus.password_file = 3 .*: expected text, the name of a file"):
        load(file, {})


def test_only_a_secret_can_stand_in_a_file() -> None:
    """Another setting's key with `_file` is as unknown as it looks."""
    with pytest.raises(SettingsError, match=r"bus.prefix_file \(CROSSTAPE_BUS__PREFIX_FILE\): no such setting"):
        load(None, {"CROSSTAPE_BUS__PREFIX_FILE": "/dev/null"})


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service calls `load()` without arguments."""
    for name in [name for name in os.environ if name.startswith("CROSSTAPE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CROSSTAPE_BUS__PREFIX", "mine")

    assert load().bus.prefix == "mine"


@given(
    st.recursive(st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5)
)
def test_any_value_is_read_or_refused_cleanly(value: Any) -> None:
    """Whatever stands under a key: a setting or a `SettingsError`, nothing else."""
    for key in (
        "bus.batch",
        "bus.url",
        "bus.timeout_s",
        "telemetry.log_level",
        "venues.kraken.kinds",
        "venues.kraken.ws_url",
        "venues",
        "run",
    ):
        text = str(value).replace("\x00", "")
        try:
            load(None, {f"CROSSTAPE_{key.upper().replace('.', '__')}": text})
        except SettingsError as exc:
            assert key.partition(".")[0] in str(exc).lower()  # noqa: PT017


def test_every_setting_can_be_described() -> None:
    """Error messages and the reference use the same descriptions."""
    from typing import get_type_hints

    from crosstape.settings import AggregatorSettings, BusSettings

    hints = {
        name: hint
        for cls in (BusSettings, AggregatorSettings, VenueSettings)
        for name, hint in get_type_hints(cls, include_extras=True).items()
    }

    assert describe(hints["batch"]) == "a whole number ≥ 1"
    assert describe(hints["url"]) == "text"
    assert describe(hints["outlier_bps"]) == "a number > 0"
    assert describe(hints["windows"]) == "a list of text"
    assert describe(hints["ws_url"]) == "text or a table of text"
    assert describe(hints["enabled"]) == "true or false"
