"""Settings: what can be set, its default, and nothing about how it is read (see `load`).

One frozen struct a section of the TOML file; the docstring under a field is its reference. Durations are seconds. A field that holds
a secret is a `Secret`, one that may hold a password within an address a `SecretUrl`: the repr of a section hides both, and either can be
given as the name of a file that holds it (`password_file` for `password`).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Final, Literal, get_args, get_type_hints

import msgspec

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
PositiveDecimal = Annotated[Decimal, msgspec.Meta(extra={"above": 0})]
Secret = Annotated[str, msgspec.Meta(extra={"hide": "all"})]
SecretUrl = Annotated[str, msgspec.Meta(extra={"hide": "credentials"})]

HIDDEN: Final = "***"
FROM_ENVIRONMENT: Final = "environment"
"""Of `venues.VENUE.proxy`: as the variables say."""

_USERINFO: Final = re.compile(r"(?:(?<=://)|^(?!.*://)).*@")
_QUERY: Final = re.compile(r"(?<=[?&])((?:user(?:name)?|pass(?:word)?|auth)=)[^&#]*", re.IGNORECASE)


def shown(url: str) -> str:
    """An address without its credentials, fit for logs: `rediss://***@host:6379/0`."""
    return _QUERY.sub(rf"\g<1>{HIDDEN}", _USERINFO.sub(f"{HIDDEN}@", url))


def hiding(hint: object) -> str | None:
    """What to hide of a field with this type: "all", "credentials", or None."""
    for meta in get_args(hint)[1:]:
        if isinstance(meta, msgspec.Meta) and meta.extra and "hide" in meta.extra:
            return str(meta.extra["hide"])
    return None


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A section of the settings file: an unknown key in it is an error."""

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Fields and their values, without secrets (the one that msgspec gives every struct would show them)."""
        hints = get_type_hints(type(self), include_extras=True)
        fields: list[tuple[str, object]] = []
        for name in self.__struct_fields__:
            value = getattr(self, name)
            match hiding(hints[name]):
                case "all":
                    value = HIDDEN if value else ""
                case "credentials":
                    value = shown(value)
            fields.append((name, value))
        return fields

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


class MaxLen(Section, frozen=True):
    """How many entries a stream keeps, by kind; the server trims at about so many (`MAXLEN ~`)."""

    trade: Count = 250_000
    quote: Count = 20_000
    book: Count = 2_000
    delta: Count = 100_000
    ticker: Count = 2_000
    status: Count = 10_000
    gap: Count = 10_000
    cbbo: Count = 20_000


class BusSettings(Section, frozen=True):
    """The Redis-protocol server that the tape lives on."""

    url: SecretUrl = ""
    """`redis://`, `rediss://` (TLS), `unix://`, `redis+sentinel://host:port,host:port/service/db`, `redis+cluster://`; empty: an embedded
    Valkey. One with a password in it is taken from the environment or a file of its own (`url_file`) only."""
    username: str = ""
    """User of the server's access list (ACL); empty: its default user."""
    password: Secret = ""
    """Only from the environment, or from a file of its own: `password_file = "/run/secrets/redis"`."""
    ca_file: str = ""
    """PEM of the authority that signed the server's certificate; it is trusted beside the system's."""
    cert_file: str = ""
    """PEM of our own certificate, for a server that wants one of its clients."""
    key_file: str = ""
    """PEM of that certificate's key, without a passphrase; empty: it is in `cert_file`, too."""
    prefix: str = "tape"
    """First part of every key and channel: two tapes on one server differ in it."""
    partitions: Count = 1
    """Hash tags over a cluster; every service on one bus must agree."""
    max_len: MaxLen = MaxLen()
    batch: Count = 1_024
    """Entries in one script call at most; a call is one pause of the server."""
    pending: Count = 200_000
    """Events kept in memory while the server is away; beyond, quotes, books and tickers conflate and a connector's other events go to the
    spool, a file in `run.dir`."""
    spool_bytes: Annotated[int, msgspec.Meta(ge=0)] = 1024 * 1024 * 1024
    """How much the spool of one connector may take; beyond, events are dropped, counted and reported. 0: nothing is spooled."""
    spool_sync: Literal["never", "second", "always"] = "second"
    """When the spool is forced to the disk. A killed process loses nothing of it in any case. When the machine loses power, what the system
    had not written by itself is lost (`never`: often half a minute), or the last second (`second`), or what the disk was still
    writing (`always`)."""
    retransmit_s: NotNegative = 5.0
    """How far back acknowledged batches are kept for a server that loses them."""
    retransmit_bytes: Count = 64 * 1024 * 1024
    """And how much of them at most."""
    timeout_s: Positive = 5.0
    """Longest wait for one answer of the server."""
    backoff_s: Positive = 5.0
    """Longest pause between two attempts to reach the server."""
    start_s: Positive = 30.0
    """Longest wait at the start for the server to be of use; then the service ends with code 3. A later outage is waited out."""


class VenueSettings(Section, frozen=True):
    """One venue: what to take from it, and where it is."""

    instruments: tuple[str, ...] = ()
    """Our names: `BTC-USDT`. One that the venue does not list is reported and left out."""
    kinds: tuple[Literal["trade", "quote", "book", "delta", "ticker", "status"], ...] = ("trade", "quote", "book", "ticker", "status")
    """What to put on the tape; `delta`, the raw changes of books, only where it is named."""
    enabled: bool = True
    """Whether `crosstape up` runs a connector for it."""
    ws_url: str | dict[str, str] = ""
    """In place of the venue's own: one for all its endpoints, or a table by endpoint's name."""
    rest_url: str | dict[str, str] = ""
    """The same for REST."""
    proxy: SecretUrl = FROM_ENVIRONMENT
    """`http://HOST:PORT` or `https://…` of an HTTP proxy for REST and WebSocket; empty: none; `environment`: the one that `HTTPS_PROXY`,
    `HTTP_PROXY` or `ALL_PROXY` names, but for hosts in `NO_PROXY`. One with a password is taken from the environment or a file of its own
    (`proxy_file`) only."""
    book_depth: Count = 10
    """Levels a side in `book` events, and asked of venues that offer a choice (the next one up that the venue has)."""
    book_interval_s: NotNegative = 0.1
    """At most one `book` event per interval and instrument; 0: one per change."""
    connect_timeout_s: Positive = 10.0
    """Longest wait for a connection, TLS and the WebSocket's handshake together."""
    ack_timeout_s: Positive = 10.0
    """A subscription not acknowledged for so long is sent again; the third time, the session ends."""
    silence_s: NotNegative = 0.0
    """No frame at all for so long: the session is dead. 0: the venue's own value."""
    rest_timeout_s: Positive = 10.0
    """Longest wait for one REST answer."""
    stale_s: Positive = 30.0
    """A subscribed feed that never spoke is stale after so long (trades: four times); one that spoke, after three times its usual
    interval, and in the first `stale_s` of its life not sooner than that."""
    stale_min_s: Positive = 5.0
    """No feed is called stale for its silence sooner. REST is asked about an instrument that has been silent for so long."""
    backoff_min_s: Positive = 0.5
    """About how long the first pause between two attempts to connect is; each is about twice the one before …"""
    backoff_max_s: Positive = 30.0
    """… up to this."""
    healthy_s: Positive = 30.0
    """A session that lived so long starts the backoff anew."""
    rotate_s: NotNegative = 0.0
    """A connection is replaced by another, without a hole, before it is so old. 0: before the venue cuts it, where that is known."""
    backfill_s: NotNegative = 3600.0
    """Trades that were missed are fetched by REST, where the venue's ids say which and it has them still, if the gap is not longer than
    this, or one request can bring all of it. 0: never."""
    fallback_s: NotNegative = 5.0
    """Trades and quotes are polled over REST when their WebSocket has been away for so long, where the venue has them there. 0: never."""


class ConnectorSettings(Section, frozen=True):
    """What all connectors share."""

    status_interval_s: Positive = 1.0
    """How often a connector repeats its venue's status: its sign of life."""
    instruments_refresh_s: Positive = 3600.0
    """How often the venue's list of instruments is fetched again. Whether those that are subscribed trade is asked more often."""
    clock_warn_s: NotNegative = 2.0
    """A connector logs once when our clock and its venue's differ by more than this, and once when they agree again. 0: never."""
    replica: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]*$", max_length=32)] = ""
    """The name of this connector among several that publish one venue's tape: `a`, `b`. One of them is active, the others are standbys.
    Empty: it is the only one. (Its old name, `connector.line`, is read until the next release.)"""
    lease_s: Positive = 1.0
    """With `replica`: another replica takes over when the one that publishes has not been heard of for so long."""
    any_origin: bool = False
    """Whether a simulated venue may write to a live tape, and a live venue to a simulated one: `--i-mean-it`."""
    capture_dir: str = ""
    """Where frames and REST answers are written; empty: nowhere."""
    capture_bytes: Count = 256 * 1024 * 1024
    """A capture file is closed and the next begun after so many bytes before compression …"""
    capture_s: Positive = 3600.0
    """… or after so long."""


class AggregatorSettings(Section, frozen=True):
    """The consolidated quote."""

    instruments: tuple[str, ...] = ()
    """Empty: every instrument that appears on the bus."""
    min_interval_s: NotNegative = 0.01
    """At most one `cbbo` per interval and instrument; 0: one per change, which makes those at the end of a burst late."""
    stale_s: Positive = 3.0
    """A quote older than this counts only while its venue gives a sign of life."""
    outlier_bps: PositiveDecimal = Decimal(100)
    """A leg whose mid is further than this from the median of three or more is excluded."""
    settle_s: NotNegative = 1.0
    """How long a leg excluded as stale, crossed, outlier or not live must be good before it counts again."""
    clock_tolerance_s: Positive = 2.0
    """While a venue's clock and ours differ by more than this, its trades may count in wrong seconds: windows are not `complete`."""
    status_interval_s: Positive = 1.0
    """How often an aggregator repeats that it is alive, as the venue `consolidated`."""
    windows: tuple[str, ...] = ("1m", "5m", "1h", "1d")
    """Rolling windows of VWAP, volume and count: seconds `s`, minutes `m`, hours `h`; `1d` is the UTC day."""
    shares: Count = 1
    """Into how many shares the instruments are divided; aggregators on one bus hold one or several each, and must agree on the count.
    With 1, a second aggregator stands by."""
    lease_s: Positive = 3.0
    """A share whose aggregator has not been heard of for so long is served by another."""
    checkpoint_s: NotNegative = 10.0
    """How often what the windows hold is put on the server, for whoever serves the share next; 0: never, and what is there is not used."""


class TelemetrySettings(Section, frozen=True):
    """Logs, metrics, health."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""
    log_format: Literal["auto", "console", "json"] = "auto"
    """auto: console on a terminal, JSON elsewhere."""
    http_host: str = "127.0.0.1"
    """Where health and metrics are served; `0.0.0.0` in a container."""
    http_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """Of `/healthz`, `/readyz`, `/metrics`; 0: any free port, logged at the start. With `up`, each service takes the next one."""
    http_enabled: bool = True
    """Whether they are served at all."""


class RunSettings(Section, frozen=True):
    """Where a run keeps its files."""

    dir: str = ""
    """Sockets, the embedded server's data, the cache of instruments, spools; empty: `$XDG_STATE_HOME/crosstape`
    (`~/.local/state/crosstape`)."""
    drain_s: Positive = 10.0
    """Longest wait for what is pending at the end."""


_USDT = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "DOGE-USDT", "ADA-USDT")
_USD = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD", "ADA-USD", "LTC-USD", "LINK-USD")


def default_venues() -> dict[str, VenueSettings]:
    """What `crosstape up` does with no settings file: the big pairs against USDT and USD, wherever they are listed."""
    return {
        "binance": VenueSettings(instruments=_USDT),
        "coinbase": VenueSettings(instruments=_USDT + _USD),
        "kraken": VenueSettings(instruments=_USDT + _USD),
    }


class Settings(Section, frozen=True):
    """The whole file."""

    bus: BusSettings = BusSettings()
    run: RunSettings = RunSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    connector: ConnectorSettings = ConnectorSettings()
    aggregator: AggregatorSettings = AggregatorSettings()
    venues: dict[str, VenueSettings] = msgspec.field(default_factory=default_venues)
    """A table per venue, `[venues.kraken]`. Naming one replaces the keys it gives; the other venues stay unless `enabled = false`."""
