"""Defines the settings and their defaults. How they are read is in `load`.

Each section of the TOML file is one frozen struct; the docstring under a field is its reference. Durations are seconds. A field that holds
a secret is a `Secret`; an address that may hold a password is a `SecretUrl`. The repr of a section hides both. Either can be given as the
name of a file that holds it (`password_file` for `password`).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Final, Literal, get_args, get_type_hints

import msgspec

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
PositiveDecimal = Annotated[Decimal, msgspec.Meta(extra={"above": 0})]
Bps = Annotated[Decimal, msgspec.Meta(extra={"at least": 0, "below": 10_000})]
"""A part of a price."""
Kind = Literal["trade", "quote", "book", "delta", "ticker", "mark", "funding", "open_interest", "liquidation", "status"]
RecordedKind = Literal[
    "trade", "quote", "book", "delta", "ticker", "candle", "mark", "funding", "open_interest", "liquidation", "status", "gap",
    "cbbo", "bar", "depth", "edge",
]  # fmt: skip
"""A kind of events with all its timeframes."""
Timeframe = Annotated[str, msgspec.Meta(pattern="^[1-9][0-9]*[A-Za-z]+$", max_length=8, extra={"in a list": 'timeframes, such as ["1m"]'})]
"""Text that may name a timeframe. Whether a venue has it, and why not, its connector says."""
Secret = Annotated[str, msgspec.Meta(extra={"hide": "all"})]
SecretUrl = Annotated[str, msgspec.Meta(extra={"hide": "credentials"})]

HIDDEN: Final = "***"
FROM_ENVIRONMENT: Final = "environment"
"""Value of `venues.VENUE.proxy`: the proxy that the usual environment variables name."""

_USERINFO: Final = re.compile(r"(?:(?<=://)|^(?!.*://)).*@")
_QUERY: Final = re.compile(r"(?<=[?&])((?:user(?:name)?|pass(?:word)?|auth)=)[^&#]*", re.IGNORECASE)


def shown(url: str) -> str:
    """Returns an address without its credentials, for logs: `rediss://***@host:6379/0`."""
    return _QUERY.sub(rf"\g<1>{HIDDEN}", _USERINFO.sub(f"{HIDDEN}@", url))


def hiding(hint: object) -> str | None:
    """Returns what to hide of a field with this type: "all", "credentials", or None."""
    for meta in get_args(hint)[1:]:
        if isinstance(meta, msgspec.Meta) and meta.extra and "hide" in meta.extra:
            return str(meta.extra["hide"])
    return None


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A section of the settings file: an unknown key in it is an error."""

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Fields and their values, without secrets. (msgspec's own `__rich_repr__` would show them.)"""
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
    """How many entries a stream of each kind keeps. The server trims at about this count (`MAXLEN ~`)."""

    trade: Count = 250_000
    quote: Count = 20_000
    book: Count = 2_000
    delta: Count = 100_000
    ticker: Count = 2_000
    candle: Count = 10_000
    """Of each timeframe."""
    mark: Count = 2_000
    funding: Count = 2_000
    open_interest: Count = 2_000
    liquidation: Count = 10_000
    status: Count = 10_000
    gap: Count = 10_000
    cbbo: Count = 20_000
    bar: Count = 20_000
    """Of each timeframe, with the bars of all venues and those that are open: with five venues, a quarter of an hour."""
    depth: Count = 2_000
    edge: Count = 10_000


class BusSettings(Section, frozen=True):
    """The Redis-protocol server that the tape lives on."""

    url: SecretUrl = ""
    """`redis://`, `rediss://` (TLS), `unix://`, `redis+sentinel://host:port,host:port/service/db` or `redis+cluster://`. Empty: an embedded
    Valkey. A url with a password is read only from the environment, or from a file of its own (`url_file`)."""
    username: str = ""
    """User in the server's access list (ACL). Empty: its default user."""
    password: Secret = ""
    """The user's password. It is read only from the environment, or from a file of its own: `password_file = "/run/secrets/redis"`."""
    ca_file: str = ""
    """PEM file of the authority that signed the server's certificate. It is trusted in addition to the system's authorities."""
    cert_file: str = ""
    """PEM file of our own certificate, for a server that asks its clients for one."""
    key_file: str = ""
    """PEM file of that certificate's key, without a passphrase. Empty: the key is in `cert_file`."""
    prefix: str = "tape"
    """First part of every key and channel. Two tapes on one server have different prefixes."""
    partitions: Count = 1
    """Count of hash tags that spread the keys over a cluster. All services on one bus must have the same count."""
    max_len: MaxLen = MaxLen()
    batch: Count = 1_024
    """Entries in one script call at most. The server does nothing else during a call."""
    channels: Literal["heard", "always"] = "heard"
    """What is also published on channels. `heard`: if nobody hears the first entry that a batch has for a channel, its other entries are not
    published there; subscribers of this server miss nothing. `always`: all are published. `heard` acts as `always` on a cluster, while the
    server has replicas, or if it does not say. Set `always` for listeners on new replicas or behind a proxy."""
    pending: Count = 200_000
    """Events kept in memory while the server is away. Beyond that, only the newest of each state (quote, open candle, …) is kept, and a
    connector's other events go to the spool, files in `run.dir`."""
    spool_bytes: Annotated[int, msgspec.Meta(ge=0)] = 1024 * 1024 * 1024
    """Largest size of one connector's spool. Beyond that, events are dropped, counted and reported as gaps. 0: nothing is spooled."""
    spool_sync: Literal["never", "second", "always"] = "second"
    """When the spool is forced to the disk. A killed process loses nothing of it in any case. When the machine loses power, these are lost:
    those that the system had not written by itself (`never`: often half a minute), those of the last second (`second`), or those
    that were being written (`always`)."""
    retransmit_s: NotNegative = 5.0
    """How long acknowledged batches are kept in memory, to send them again to a server that has lost them."""
    retransmit_bytes: Count = 64 * 1024 * 1024
    """Largest size of the batches that are kept for that."""
    timeout_s: Positive = 5.0
    """Longest wait for one answer of the server."""
    backoff_s: Positive = 5.0
    """Longest pause between two attempts to reach the server."""
    start_s: Positive = 30.0
    """Longest wait at the start until the server can be used; then the service ends with exit code 3. A later outage is waited out."""


class VenueSettings(Section, frozen=True):
    """One venue: what to read from it, and where it is."""

    instruments: tuple[str, ...] = ()
    """Instruments by our names: `BTC-USDT`. An instrument that the venue does not list is reported and left out."""
    kinds: tuple[Kind, ...] = ("trade", "quote", "book", "ticker", "mark", "funding", "open_interest", "liquidation", "status")
    """Kinds of events to publish; what the venue does not have is left out. `delta`, the raw changes of books, is published only where it
    is named here. Candles are named in `candles`."""
    candles: tuple[Timeframe, ...] = ()
    """Timeframes of candles to publish, as the venue makes them: `["1m", "1h"]`. A timeframe that the venue does not have, or that it
    aligns otherwise than to UTC, stops the start. Which it has: [candles of each venue](venues.md#candles)."""
    environment: str = ""
    """Which of the venue's environments to connect to: `testnet`, `demo`, `sandbox`. Empty: the live market. Names are listed
    under each venue in [the reference of venues](venues.md)."""
    enabled: bool = True
    """Whether `crosstape up` runs a connector for this venue."""
    ws_url: str | dict[str, str] = ""
    """WebSocket address to use instead of the venue's own: one for all its endpoints, or a table by the endpoint's name."""
    rest_url: str | dict[str, str] = ""
    """REST address to use instead of the venue's own, in the same form."""
    proxy: SecretUrl = FROM_ENVIRONMENT
    """`http://HOST:PORT` or `https://…` of an HTTP proxy for REST and WebSocket. Empty: no proxy. `environment`: the proxy that
    `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY` names, except for hosts in `NO_PROXY`. An address with a password is read only from the
    environment, or from a file of its own (`proxy_file`)."""
    book_depth: Count = 10
    """Levels on each side in `book` events. Where a venue offers several depths, the next greater one is subscribed."""
    book_interval_s: NotNegative = 0.1
    """At most one `book` event per instrument in this time. 0: one for each change."""
    connect_timeout_s: Positive = 10.0
    """Longest wait for a connection, with TLS and the WebSocket handshake."""
    ack_timeout_s: Positive = 10.0
    """A subscription that is not acknowledged within this time is sent again; the third time, the connection is closed."""
    silence_s: NotNegative = 0.0
    """A connection without any frame for this time counts as dead. 0: the venue's own value."""
    rest_timeout_s: Positive = 10.0
    """Longest wait for one REST answer."""
    stale_s: Positive = 30.0
    """A subscribed feed without any message is stale after this time (trades: four times as long). A feed that had messages is stale
    after three times its usual interval, and in the first `stale_s` after its start not sooner than that."""
    stale_min_s: Positive = 5.0
    """No feed counts as stale for its silence before this time. An instrument that has been silent for this time is checked by REST."""
    backoff_min_s: Positive = 0.5
    """First pause between two attempts to connect, about; each pause is about twice the one before."""
    backoff_max_s: Positive = 30.0
    """Longest pause between two attempts to connect."""
    healthy_s: Positive = 30.0
    """After a connection that lasted this time the pauses start again with the first."""
    rotate_s: NotNegative = 0.0
    """A connection is replaced by a new one, without a gap, before it is this old. 0: before the venue closes it, if that time is known."""
    backfill_s: NotNegative = 3600.0
    """Missed trades are fetched by REST if the gap is not longer than this, or one request can fetch all of it. The venue's trade ids must
    show which trades are missing, and the venue must still have them. 0: never."""
    fallback_s: NotNegative = 5.0
    """Trades and quotes are polled by REST when their WebSocket has been away for this time, where the venue offers that. 0: never."""

    @property
    def feed_kinds(self) -> tuple[str, ...]:
        """Kinds of feeds to publish: `kinds`, and `candle:1m` for each timeframe of `candles`."""
        return *self.kinds, *(f"candle:{timeframe}" for timeframe in dict.fromkeys(self.candles))


class ConnectorSettings(Section, frozen=True):
    """Settings of all connectors."""

    status_interval_s: Positive = 1.0
    """How often a connector repeats its venue's status, which is its sign of life."""
    instruments_refresh_s: Positive = 3600.0
    """How often the venue's list of instruments is fetched again. Whether the subscribed ones trade is checked more often."""
    clock_warn_s: NotNegative = 2.0
    """A connector logs when our clock and its venue's differ by more than this, and when they agree again. 0: never."""
    replica: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]*$", max_length=32)] = ""
    """The name of this connector among several that publish one venue's tape: `a`, `b`. One of them is active, the others are standbys.
    Empty: it is the only one. (Its old name, `connector.line`, is read until the next release.)"""
    lease_s: Positive = 1.0
    """With `replica`: a standby takes over when the active replica has not renewed its lease for this time."""
    outbound: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]*$", max_length=32)] = ""
    """Names the internet address from which requests leave. Connectors, backfills and repairs with the same name share each venue's limit
    of REST requests, and all wait where the venue asks one of them to. Set different names where they run behind different addresses."""
    backfill_share: Share = 0.5
    """The share of a venue's limit of REST requests that live connectors, backfills and repairs may have used together when a backfill or
    repair makes a request: what is above it is left to live connectors."""
    any_origin: bool = False
    """Whether data of several origins may get on one tape: of live venues, of their testnets, and of simulated venues: `--i-mean-it`."""
    capture_dir: str = ""
    """Directory in which frames and REST answers are written. Empty: they are not written."""
    capture_bytes: Count = 256 * 1024 * 1024
    """Size before compression after which a capture file is closed and the next one started."""
    capture_s: Positive = 3600.0
    """Time after which a capture file is closed and the next one started."""


class CompositeSettings(Section, frozen=True):
    """One composite: an instrument over several quote currencies of about the same value, each part converted at a live rate."""

    parts: tuple[str, ...] = ()
    """Instruments with the same base: `["BTC-USD", "BTC-USDT", "BTC-USDC"]`. The composite's name says the quote currency, `BTC-USD*`; a
    part with another one, as USDT, is converted by the mid of the pair `USDT-USD`."""
    depeg_bps: PositiveDecimal = Decimal(100)
    """A part whose rate is further than this from 1 does not count."""
    rate_stale_s: Positive = 10.0
    """A part whose rate is not proven current for this time does not count."""


class AggregatorSettings(Section, frozen=True):
    """What is computed across venues: consolidated quotes, bars, consolidated books, edges, composites."""

    instruments: tuple[str, ...] = ()
    """Instruments to consolidate. Empty: every instrument that appears on the bus."""
    min_interval_s: NotNegative = 0.01
    """At most one `cbbo` per instrument in this time. 0: one for each change, which makes those at the end of a burst late."""
    stale_s: Positive = 3.0
    """A quote older than this counts only while its venue gives signs of life."""
    outlier_bps: PositiveDecimal = Decimal(100)
    """A leg whose mid is further than this from the median of three or more is excluded."""
    settle_s: NotNegative = 1.0
    """How long a leg that was excluded as stale, crossed, outlier or not live must be good before it counts again."""
    clock_tolerance_s: Positive = 2.0
    """While a venue's clock and ours differ by more than this, its trades may count in wrong seconds: windows are not `complete`."""
    status_interval_s: Positive = 1.0
    """How often an aggregator repeats its sign of life, a status of the venue `consolidated`."""
    windows: tuple[str, ...] = ("1m", "5m", "1h", "1d")
    """Rolling windows of VWAP, volume and count: seconds `s`, minutes `m`, hours `h`; `1d` is the UTC day."""
    shares: Count = 1
    """Count of shares into which the instruments are divided. Each aggregator on a bus holds one or several; all must have the same
    count. With 1, a second aggregator is a standby."""
    lease_s: Positive = 3.0
    """Another aggregator serves a share when its holder has not renewed its lease for this time."""
    checkpoint_s: NotNegative = 10.0
    """How often windows and bars are saved on the server, for the next owner of the share. 0: never, and nothing saved is used."""

    bars: tuple[Timeframe, ...] = ()
    """Timeframes of bars to build from trades, of each venue and of all: `["1s", "1m", "1h"]`."""
    bar_grace_s: NotNegative = 2.0
    """A bar closes this long after its end, so that trades on their way are in it. A later one is a revision."""
    bar_interval_s: Positive = 0.25
    """At most one event of an open bar in this time."""
    bar_history_s: Positive = 3600.0
    """A closed bar is revised while it is not older than this; later trades for it are counted."""
    depth_levels: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    """Levels of each side in `depth` events. 0: no consolidated books."""
    depth_interval_s: NotNegative = 0.1
    """At most one `depth` event per instrument in this time. 0: one for each change."""
    sweep_sizes: dict[str, tuple[PositiveDecimal, ...]] = {}
    """Instrument → sizes in base units whose cost is computed with each `depth`: `{"BTC-USDT" = ["0.1", "1"]}`. `*`: of all others."""
    taker_fees_bps: dict[str, Bps] = {}
    """Venue → what a taker pays there, in basis points: `{binance = "10", kraken = "26"}`. Edges are computed between the venues that are
    named here, two at least. No fee is assumed."""
    edge_interval_s: NotNegative = 0.1
    """At most one change of an open edge in this time. It opens and closes at once."""
    composites: dict[str, CompositeSettings] = {}
    """Composites by their names: `[aggregator.composites."BTC-USD*"]`."""


class GatewaySettings(Section, frozen=True):
    """The gateway: REST, Server-Sent Events, WebSocket, and the dashboard page."""

    enabled: bool = True
    """Whether `crosstape up` runs a gateway."""
    host: str = "127.0.0.1"
    """Address on which it serves. On any other than a loopback address it starts only with `tokens_file`, or with `open_to`."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8090
    """Its port. 0: any free port, logged at the start."""
    tokens_file: str = ""
    """File with one `NAME:TOKEN` a line: who may read. A request has the token in `Authorization: Bearer TOKEN`; the page asks for it once.
    Empty: no token is needed on a loopback address."""
    open_to: Literal["loopback", "anywhere"] = "loopback"
    """Who may read without a token if there is no `tokens_file`. `anywhere` is for a container whose port is published on a
    loopback address only."""
    hosts: tuple[str, ...] = ()
    """Names by which browsers may address a gateway without tokens, beside `localhost` and loopback addresses: a page of another name that
    resolves to this machine is refused."""
    allowed_origins: tuple[str, ...] = ()
    """Origins whose pages may read by CORS and WebSocket: `["https://desk.example"]`. `*`: all; then only with tokens."""
    gather_s: NotNegative = 0.05
    """Events are gathered for this time and sent to a client together. A client may ask for less: `gather_ms=0`."""
    heartbeat_s: Positive = 5.0
    """How often a stream without events gets a heartbeat."""
    patience_s: Positive = 10.0
    """A client that reads nothing for this time is disconnected."""
    clients: Count = 2_000
    """Streaming clients at the same time."""
    clients_per_address: Count = 200
    """Streaming clients of one address at the same time."""
    requests_per_s: Positive = 50.0
    """REST requests and connects of one address a second, with bursts of ten times as many."""
    topics_per_client: Count = 500
    """Topics that one client may follow; `cbbo:*` counts as one."""
    events_per_client: Count = 1_000
    """Events kept for a client that does not read at the moment. Of states (quotes, books, open candles) only the newest is kept; events
    beyond this number are dropped, and the client is told how many."""
    rows: Count = 10_000
    """Rows in one REST answer, and events that are sent again to a client that resumes, at most."""


class RecorderSettings(Section, frozen=True):
    """The recorder: what of the tape is kept, and where. `Tape`, the gateway, `history`, `gaps` and `audit` read the same store."""

    enabled: bool = False
    """Whether `crosstape up` runs a recorder."""
    store: SecretUrl = ""
    """A folder, `s3://BUCKET/PREFIX`, or `postgresql://HOST/DATABASE`. Empty: the environment variable `DATABASE_URL` or, without it, the
    folder `history` in `run.dir`. An address with a password is read only from the environment, or from a file of its own
    (`store_file`)."""
    kinds: tuple[RecordedKind, ...] = (
        "trade", "quote", "ticker", "candle", "bar", "funding", "open_interest", "liquidation", "status", "gap",
    )  # fmt: skip
    """Kinds of events to record. Gaps are recorded in any case. An audit of consolidated quotes needs `cbbo`, `quote`, `book`, `trade`,
    `status`, `gap`; of bars `bar`, `trade`, `status`, `gap`; of depth and edges `depth`, `edge`, `book`."""
    instruments: tuple[str, ...] = ()
    """Instruments to record. Empty: every instrument on the tape."""
    keep: Literal["columns", "events"] = "columns"
    """`columns`: the fields of each event; its JSON only where columns cannot give it back byte for byte; candles and bars once they are
    closed. `events`: in addition the JSON of every event, and candles and bars with every change. An audit of all but open bars needs no
    more than `columns`."""
    commit_s: Positive = 60.0
    """Longest time until what was read is in the store."""
    commit_rows: Count = 50_000
    """Rows of one kind after which they are written sooner."""
    compact_s: NotNegative = 3600.0
    """How often small commits are merged. 0: never."""
    keep_days: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Days of history to keep. 0: all."""
    keep_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Largest size of the history; the oldest days are deleted beyond it. 0: no limit."""
    repair_s: NotNegative = 0.0
    """How often the recorder looks for gaps of the history that a venue can fill by REST, and fills them. 0: never; then `crosstape repair`
    does it when it is called."""


class TelemetrySettings(Section, frozen=True):
    """Logs, metrics, health."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is logged."""
    log_format: Literal["auto", "console", "json"] = "auto"
    """`auto`: console on a terminal, JSON elsewhere."""
    http_host: str = "127.0.0.1"
    """Address on which health and metrics are served: `0.0.0.0` in a container."""
    http_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """Port of `/healthz`, `/readyz` and `/metrics`. 0: any free port, logged at the start. With `up`, each service has the next."""
    http_enabled: bool = True
    """Whether health and metrics are served."""


class RunSettings(Section, frozen=True):
    """Where a run keeps its files."""

    dir: str = ""
    """Directory for sockets, the embedded server's data, the cache of instruments, and spools. Empty: `$XDG_STATE_HOME/crosstape`
    (`~/.local/state/crosstape`)."""
    drain_s: Positive = 10.0
    """Longest wait at the end for events that are not written yet."""


_USDT = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "DOGE-USDT", "ADA-USDT")
_USD = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD", "ADA-USD", "LTC-USD", "LINK-USD")


_PERPETUALS = tuple(f"{name}-PERP" for name in _USDT)


def default_venues() -> dict[str, VenueSettings]:
    """Venues of `crosstape up` without a settings file: the big pairs against USDT and USD and their perpetuals, wherever they are listed,
    and candles of a minute where the venue has them.
    """
    return {
        "binance": VenueSettings(instruments=_USDT, candles=("1m",)),
        "coinbase": VenueSettings(instruments=_USDT + _USD),
        "kraken": VenueSettings(instruments=_USDT + _USD, candles=("1m",)),
        "bitfinex": VenueSettings(instruments=_USDT + _USD + _PERPETUALS, candles=("1m",)),
        "binance_usdm": VenueSettings(instruments=_PERPETUALS, candles=("1m",)),
    }


class Settings(Section, frozen=True):
    """All settings: the sections of the file."""

    bus: BusSettings = BusSettings()
    run: RunSettings = RunSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    connector: ConnectorSettings = ConnectorSettings()
    aggregator: AggregatorSettings = AggregatorSettings(bars=("1m",))
    gateway: GatewaySettings = GatewaySettings()
    recorder: RecorderSettings = RecorderSettings()
    venues: dict[str, VenueSettings] = msgspec.field(default_factory=default_venues)
    """One table for each venue, `[venues.kraken]`. It replaces the keys that it has; other venues stay unless `enabled = false`."""
