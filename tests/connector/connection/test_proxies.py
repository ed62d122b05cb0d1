"""Which proxy is used for a venue's address: that of the setting, else that of the environment, read as other programs read it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape.errors import SettingsError
from crosstape_connector.connection.proxies import Proxies, parsed

SECRET = "hunter2"
SETTING = "venues.kraken.proxy"
WSS = "wss://ws.kraken.com/v2"


def through(url: str, given: str = "environment", **environ: str) -> str | None:
    """Return the proxy of this address as text."""
    proxy = Proxies(SETTING, given, environ).for_url(url)
    return None if proxy is None else str(proxy)


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        (WSS, {}, None),
        (WSS, {"HTTPS_PROXY": "http://gate:3128"}, "http://gate:3128 (HTTPS_PROXY)"),
        ("https://api.kraken.com/0", {"HTTPS_PROXY": "http://gate:3128"}, "http://gate:3128 (HTTPS_PROXY)"),
        (WSS, {"https_proxy": "http://small:1", "HTTPS_PROXY": "http://capital:1"}, "http://small:1 (https_proxy)"),
        (WSS, {"https_proxy": "", "HTTPS_PROXY": "http://capital:1"}, "http://capital:1 (HTTPS_PROXY)"),
        (WSS, {"HTTPS_PROXY": "  "}, None),
        (WSS, {"HTTP_PROXY": "http://gate:3128"}, None),
        (WSS, {"ALL_PROXY": "http://gate:3128"}, "http://gate:3128 (ALL_PROXY)"),
        (WSS, {"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "http://gate:3128"}, "http://gate:3128 (HTTPS_PROXY)"),
        (WSS, {"ALL_PROXY": "socks5://all:1", "HTTPS_PROXY": "http://gate:3128"}, "http://gate:3128 (HTTPS_PROXY)"),
        (WSS, {"WSS_PROXY": "http://ws:1", "HTTPS_PROXY": "http://gate:3128"}, "http://ws:1 (WSS_PROXY)"),
        (WSS, {"HTTPS_PROXY": "gate:3128"}, "http://gate:3128 (HTTPS_PROXY)"),
        (WSS, {"HTTPS_PROXY": "http://gate"}, "http://gate:80 (HTTPS_PROXY)"),
        (WSS, {"HTTPS_PROXY": "https://gate/"}, "https://gate:443 (HTTPS_PROXY)"),
        (WSS, {"HTTPS_PROXY": f"http://user:{SECRET}@gate:3128"}, "http://gate:3128 (HTTPS_PROXY)"),
        (WSS, {"HTTPS_PROXY": "http://[fd00::1]:3128"}, "http://[fd00::1]:3128 (HTTPS_PROXY)"),
        ("ws://sim:8001/ws", {"HTTP_PROXY": "http://gate:3128"}, "http://gate:3128 (HTTP_PROXY)"),
        ("ws://sim:8001/ws", {"HTTPS_PROXY": "http://gate:3128"}, "http://gate:3128 (HTTPS_PROXY)"),
        ("http://sim:8001/", {"HTTP_PROXY": "http://gate:3128"}, "http://gate:3128 (HTTP_PROXY)"),
        ("http://sim:8001/", {"HTTPS_PROXY": "http://gate:3128"}, None),
    ],
)
def test_the_environment_names_the_proxy(url: str, environ: dict[str, str], expected: str | None) -> None:
    """The variable depends on the scheme of the address. Its name is shown, a password never."""
    assert through(url, **environ) == expected


@pytest.mark.parametrize(
    ("exempt", "is_direct"),
    [
        ("ws.kraken.com", True),
        ("kraken.com", True),
        (".kraken.com", True),
        ("*.kraken.com", True),
        ("KRAKEN.com", True),
        ("*", True),
        ("localhost, .kraken.com", True),
        ("localhost .kraken.com", True),
        ("localhost,127.0.0.1,10.0.0.0/8,.svc,.kraken.com", True),
        ("ws.kraken.com:443", True),
        (".kraken.com:443", True),
        ("ws.kraken.com:8443", False),
        ("aken.com", False),
        ("ws.kraken.com.evil", False),
        ("api.kraken.com", False),
        ("10.0.0.0/8", False),
        ("", False),
        (",", False),
        (":443", False),
        ("ws.kraken.com:https", False),
    ],
)
def test_no_proxy_names_hosts(exempt: str, is_direct: bool) -> None:
    """A host exactly, with its subdomains, or only on one port."""
    for name in ("NO_PROXY", "no_proxy"):
        assert (through(WSS, HTTPS_PROXY="http://gate:3128", **{name: exempt}) is None) is is_direct


@pytest.mark.parametrize(
    ("url", "exempt", "is_direct"),
    [
        ("wss://10.1.2.3/v2", "10.0.0.0/8", True),
        ("wss://10.1.2.3/v2", "10.1.2.3", True),
        ("wss://10.1.2.3:8443/v2", "10.1.2.3:8443", True),
        ("wss://10.1.2.3:8443/v2", "10.1.2.3:443", False),
        ("wss://10.1.2.3/v2", "10.2.0.0/16", False),
        ("wss://10.1.2.3/v2", "1.2.3", False),
        ("wss://[fd00::7]/v2", "fd00::/8", True),
        ("wss://[fd00::7]/v2", "fd00::7", True),
        ("wss://[fd00::7]:8443/v2", "[fd00::7]:8443", True),
        ("wss://[fd00::7]/v2", "[fd00::7]", True),
        ("wss://[fd00::7]/v2", "fd01::7", False),
        ("wss://ws.kraken.com./v2", "kraken.com", True),
    ],
)
def test_no_proxy_names_addresses_and_networks(url: str, exempt: str, is_direct: bool) -> None:
    """They exempt a host that is given as an address; names are not looked up."""
    assert (through(url, ALL_PROXY="http://gate:3128", NO_PROXY=exempt) is None) is is_direct


def test_the_setting_goes_before_the_environment() -> None:
    """Also before `NO_PROXY`, which is about the proxies of the environment. An empty setting means no proxy."""
    environ = {"HTTPS_PROXY": "http://gate:3128", "NO_PROXY": "*"}

    assert through(WSS, "http://own:1", **environ) == "http://own:1 (venues.kraken.proxy)"
    assert through(WSS, "", HTTPS_PROXY="http://gate:3128") is None
    assert through("ws://sim:1/", "https://own:1", **environ) == "https://own:1 (venues.kraken.proxy)"


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        (SETTING, "gate:3128", "venues.kraken.proxy = gate:3128: expected http://HOST:PORT"),
        (SETTING, f"user:{SECRET}@gate:3128", "venues.kraken.proxy = ***@gate:3128: expected http://HOST:PORT"),
        (SETTING, "socks5://gate:1080", "venues.kraken.proxy = socks5://gate:1080: only http:// and https:// proxies can be used"),
        (
            "ALL_PROXY",
            f"socks5h://u:{SECRET}@gate:1080",
            "ALL_PROXY = socks5h://***@gate:1080: only http:// and https:// proxies can be used;",
        ),
        ("HTTPS_PROXY", "http://gate:port", "HTTPS_PROXY = http://gate:port: expected http://HOST:PORT; or set venues.kraken.proxy"),
        ("HTTPS_PROXY", "http://gate:0", "HTTPS_PROXY = http://gate:0: expected"),
        ("HTTPS_PROXY", "http://gate:70000", "HTTPS_PROXY = http://gate:70000: expected"),
        ("HTTPS_PROXY", "http://", "HTTPS_PROXY = http://: expected"),
        ("HTTPS_PROXY", "http://[gate", "HTTPS_PROXY = http://[gate: expected"),
        ("HTTPS_PROXY", f"http://user:{SECRET}#1@gate:3128", "HTTPS_PROXY = http://***@gate:3128: expected"),
        ("HTTPS_PROXY", "http://gate/path", "HTTPS_PROXY = http://gate/path: expected"),
    ],
)
def test_an_invalid_proxy_is_an_error(source: str, value: str, expected: str) -> None:
    """The error names the setting or the variable, and the remedy, but no password."""
    with pytest.raises(SettingsError) as caught:
        parsed(source, value, SETTING)

    assert str(caught.value).startswith(expected)
    assert SECRET not in str(caught.value)


def test_a_password_is_decoded_and_not_shown() -> None:
    """`user:p@ss` is written as `user:p%40ss`."""
    proxy = parsed("HTTPS_PROXY", "http://user:p%40ss@gate:3128", SETTING)

    assert proxy.authorization == "Basic dXNlcjpwQHNz"
    for text in (str(proxy), repr(proxy), f"{proxy}", repr(list(proxy.__rich_repr__()))):
        assert "dXNlcjpwQHNz" not in text


@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from([WSS, "ws://127.0.0.1:1/", "https://[::1]/"]))
def test_any_environment_is_used_or_refused(value: str, exempt: str, url: str) -> None:
    """It is refused with an error of ours."""
    try:
        proxies = Proxies(SETTING, "environment", {"HTTPS_PROXY": value, "NO_PROXY": exempt})
        proxies.for_url(url)
    except SettingsError as exc:
        assert "HTTPS_PROXY = " in str(exc)  # noqa: PT017
