"""Every program that README, docs and examples show, and how each is tested. Nothing shown is exempt without a reason in this table.

A fenced block is named after its page, the heading above it and its language, with a number from the second on. Blocks of output, diagrams
and settings are no programs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from crosstape_cli.main import COMMANDS
from crosstape_schemas import Keys

ROOT: Final = Path(__file__).parents[2]
LANGUAGES: Final = frozenset({"python", "py", "sh", "bash", "shell", "console", "js", "javascript", "mjs", "jq"})
ADDRESS: Final = "redis://localhost:6379"
"""The address of the server in shown programs; a test replaces it by its own."""


class Block(NamedTuple):
    """A fenced block of a page."""

    name: str
    language: str
    text: str


class Follows(NamedTuple):
    """A program that goes on until it is ended. `pattern` finds the number of an event in what it prints."""

    kind: Literal["stream", "channel"]
    pattern: str
    arguments: tuple[str, ...] = ()
    """`{url}` is the server's address, `{port}` its port, `{file}` the file that is read in place of standard output."""
    announces: str = ""
    """Text that the program must print when it loses its connection; needed for a reader of a channel, which loses events then."""
    ends: bool = False
    """Whether it ends with an error when the connection is lost."""


class Prints(NamedTuple):
    """A program that ends by itself, and a text that is in its output."""

    expected: str
    arguments: tuple[str, ...] = ()


class RunBy(NamedTuple):
    """A test that runs it: `path::name` below `tests`, or a step of `.ci/run`."""

    test: str


class NotRun(NamedTuple):
    """The program is only parsed, for this reason."""

    reason: str


How: TypeAlias = Follows | Prints | RunBy | NotRun

_TRADE: Final = r"binance (\d+) "
_CHANNEL: Final = r'^\{"type":"cbbo".*?"bid_price":"(\d+)"'
_DOCKER: Final = NotRun("needs a Docker engine and the published ports of a host; tests/deploy runs the compose file itself")
_TUTORIAL: Final = "docs/tutorial/your-first-strategy.md"
_STRATEGY: Final = RunBy("docs/test_tutorial.py::test_the_strategy_prints_its_alerts_legs_and_gaps")
_BROKEN: Final = RunBy("docs/test_tutorial.py::test_each_step_of_the_tutorial_on_the_demo")
_READ: Final = "docs/how-to/read-the-tape.md"
_COOK: Final = "docs/how-to/recipes.md"
_REDIS: Final = "docs/how-to/read-with-redis.md"
_KEPT: Final = "docs/how-to/keep-history.md"
_GATEWAY: Final = RunBy("docs/test_shown_gateway.py::test_the_commands_of_the_pages_are_answered")
_REHEARSE: Final = "docs/how-to/rehearse-an-outage.md"
_REHEARSED: Final = RunBy("docs/test_rehearsal.py::test_the_requests_of_the_page_are_answered_as_shown")
_SECURED: Final = RunBy("bus/client/test_access.py::test_each_service_can_do_its_work")
_INDICATOR: Final = RunBy("docs/test_examples.py::test_indicators_of_consolidated_bars")
_RECIPES: Final = {
    name: RunBy(f"docs/test_recipes.py::{test}")
    for name, test in {
        "agent": "test_an_agent_acts_only_on_quotes_that_pass_its_checks",
        "edges": "test_edges_are_printed_when_they_open_and_close",
        "excluded_legs": "test_an_excluded_leg_raises_an_alert_once",
        "portfolio": "test_a_portfolio_is_valued_without_what_cannot_be_valued",
        "spread_monitor": "test_a_spread_is_printed_when_its_state_changes",
        "vwap_deviation": "test_a_deviation_from_the_vwap_is_printed_when_it_begins_and_ends",
        "last_hour": "test_the_last_hour_is_added_up_for_each_venue",
    }.items()
}
_HEADINGS: Final = {
    "a-spread-monitor": "spread_monitor",
    "a-portfolio-at-live-prices": "portfolio",
    "an-alert-when-a-venue-does-not-count": "excluded_legs",
    "the-deviation-from-the-vwap": "vwap_deviation",
    "edges-between-venues": "edges",
    "a-dataframe-of-the-last-hour": "last_hour",
    "an-agent-on-real-prices": "agent",
}
"""Headings of the recipes, and their examples."""
_SYNOPSIS: Final = RunBy("cli/test_command.py::test_each_command_explains_itself")

SHOWN: Final[dict[str, How]] = {
    "docs/explanation/audit.md#the-audit-computed-again-by-somebody-else console": RunBy(
        "cli/test_audit.py::test_a_difference_is_printed_with_its_inputs"
    ),
    "README.md#try-it sh": RunBy(".ci/run: demo"),
    "README.md#run-it sh": NotRun("connects to live venues; `crosstape up` is tested on simulated ones in tests/cli"),
    "README.md#run-it console": NotRun("three commands that go on until Ctrl-C; tests/cli/test_supervise.py runs `up` on simulated venues"),
    "README.md#run-it sh 2": _DOCKER,
    "README.md#read-it sh": Follows("channel", _CHANNEL, announces="closed", ends=True),
    "README.md#read-it python": Follows("stream", r"^(\d+) \d+ \['binance', 'kraken'\]$"),
    "README.md#read-it sh 2": _GATEWAY,
    f"{_TUTORIAL}#1-start-a-market sh": _BROKEN,
    f"{_TUTORIAL}#2-read-prices python": Follows("stream", r"^quote (\d+) \d+ best bid on kraken$"),
    f"{_TUTORIAL}#3-raise-an-alert python": _STRATEGY,
    f"{_TUTORIAL}#4-break-a-venue console": _BROKEN,
    f"{_TUTORIAL}#4-break-a-venue console 2": _BROKEN,
    f"{_TUTORIAL}#5-in-another-language sh": Prints('"bid_price":"3"'),
    f"{_TUTORIAL}#5-in-another-language js": Prints("3 3000 binance kraken"),
    f"{_TUTORIAL}#7-in-a-notebook sh": NotRun("installs packages; all tests run in what it makes"),
    f"{_TUTORIAL}#7-in-a-notebook python": Prints("binance"),
    f"{_READ}#with-redis-cli sh": Prints("binance"),
    f"{_READ}#with-redis-cli sh 2": Follows("channel", _CHANNEL, announces="closed", ends=True),
    f"{_READ}#with-redis-cli sh 3": Prints('"1795644919934299073","binance","3.50","0.10"'),
    f"{_READ}#python-with-tape python": Follows("stream", r"^(\d+) \d+ \['binance', 'kraken'\]"),
    f"{_READ}#python-with-reader python": Follows("stream", _TRADE),
    f"{_READ}#in-a-notebook-or-without-asyncio python": Prints("shape: (3,"),
    f"{_READ}#code-that-expects-a-candleprovider-or-a-streamcollector python": Follows("stream", r"^BTC-USDT \d+ (\d+) closed$"),
    f"{_READ}#code-that-expects-a-candleprovider-or-a-streamcollector python 2": Prints("consolidated 3\nbinance 3\n"),
    f"{_READ}#rest-and-server-sent-events sh": _GATEWAY,
    f"{_READ}#in-a-browser-eventsource js": RunBy("docs/test_shown_gateway.py::test_the_page_of_an_event_source_follows_through_a_restart"),
    f"{_READ}#websocket python": RunBy("docs/test_shown_gateway.py::test_the_reader_of_a_websocket"),
    f"{_READ}#is-this-quote-current python": Prints("3 3000 ['binance', 'kraken']"),
    f"{_REDIS}#four-rules-here-in-redis-py python": Follows("stream", _TRADE),
    f"{_REDIS}#many-streams python": Follows("stream", _TRADE),
    f"{_REDIS}#on-a-channel python": Follows("channel", _TRADE, announces=r"trades are being lost|lost \d+ trades"),
    f"{_READ}#candles python": Follows("stream", r"^\d\d:\d\d binance 1 \d+ 1 (\d+) 2\.50$"),
    f"{_READ}#bars-consolidated-books-edges-composites sh": Prints('"type":"bar"'),
    f"{_READ}#perpetuals-marks-funding-open-interest-liquidations sh": Prints("binance_usdm"),
    f"{_REDIS}#javascript js": Prints("1795644919934299073n"),
    f"{_REDIS}#javascript js 2": Prints("1795644919934299073n"),
    f"{_REDIS}#a-cluster python": RunBy("docs/test_shown_cluster.py::test_the_reader_of_a_cluster"),
    f"{_REDIS}#a-cluster js": Prints(Keys(partitions=12).stream("trade", "BTC-USDT")),
    f"{_REDIS}#a-cluster sh": RunBy("docs/test_shown_cluster.py::test_the_streams_of_each_partition"),
    f"{_REDIS}#to-a-file sh": RunBy("docs/test_shown.py::test_a_stream_is_written_to_a_file"),
    "docs/reference/events.md#how-far-back-a-stream-reaches sh": Prints("0"),
    "examples/crossed.sh": Follows("channel", r"BTC-USDT crossed by -(\d+) bps", ("-u", "{url}"), announces="the connection ended"),
    "examples/indicator.py": _INDICATOR,
    **{f"examples/{name}.py": how for name, how in _RECIPES.items()},
    **{f"{_COOK}#{heading} python": _RECIPES[name] for heading, name in _HEADINGS.items()},
    f"{_COOK}#an-indicator-on-bars python": _INDICATOR,
    "examples/to_csv.py": Follows("stream", r"^\d+-\d+,binance,.*,(\d+),False,1,\d+$", ("{url}", "BTC-USDT", "{file}", "--follow")),
    "examples/trades.mjs": Follows("stream", r"binance (\d+): .* received 1795644919934299073$", ("{url}", "BTC-USDT")),
    "examples/systemd/crosstape@.service": NotRun("needs systemd and root"),
    "docs/how-to/add-a-venue.md#1-write-the-skeleton sh": NotRun("writes into this project; test_new_venue.py does it in a copy"),
    "docs/how-to/add-a-venue.md#6-record-then-prove sh": NotRun("records a venue that crosstape does not have yet, over the network"),
    **{
        f"docs/how-to/probe-a-venue.md#{heading}": NotRun("connects to a live venue; tests/cli/test_probe.py probes simulated ones")
        for heading in (
            "probe-a-venue sh",
            "other-markets-other-addresses sh",
            "other-markets-other-addresses sh 2",
            "other-markets-other-addresses console",
        )
    },
    "docs/how-to/mend-history.md#find-and-fill-gaps-of-the-history sh": RunBy(
        "end_to_end/test_repair.py::test_what_was_lost_is_listed_fetched_and_in_the_bars"
    ),
    "docs/how-to/backfill.md#fetch-the-past-of-a-venue sh": NotRun(
        "fetches over the network; tests/end_to_end/test_past_history.py does it from simulated venues"
    ),
    f"{_KEPT}#try-it-on-simulated-venues sh": RunBy("cli/test_recorder.py::test_a_demo_is_recorded"),
    f"{_KEPT}#read-it-by-the-command sh": RunBy("docs/test_keep_history.py::test_what_the_command_shows_is_what_it_takes"),
    f"{_KEPT}#read-it-in-python python": RunBy("docs/test_keep_history.py::test_the_tape_reads_the_history"),
    **dict.fromkeys(
        (f"{_KEPT}#{engine} python" for engine in ("polars", "pandas", "duckdb")),
        RunBy("docs/test_keep_history.py::test_an_engine_adds_up_the_minutes"),
    ),
    f"{_KEPT}#backtest-on-recorded-quotes-and-trades python": RunBy("docs/test_keep_history.py::test_a_strategy_is_tested_on_the_past"),
    "docs/how-to/compute-an-indicator.md#3-use-a-library sh": _INDICATOR,
    "docs/how-to/compute-an-indicator.md#4-check-the-bars sh": RunBy(
        "cli/test_check_bars.py::test_differences_are_shown_and_are_the_exit_code"
    ),
    "docs/how-to/any-exchange.md#any-exchange-by-ccxt sh": RunBy("cli/test_venues.py::test_one_source_alone_can_be_listed"),
    "docs/how-to/any-exchange.md#install-it sh": NotRun("installs ccxt below /opt; `make test-ccxt` installs the same versions"),
    "docs/how-to/any-exchange.md#run-it sh": RunBy("cli/test_plan.py::test_a_venue_by_ccxt_is_planned_as_any_other"),
    "docs/how-to/any-exchange.md#run-it sh 2": _DOCKER,
    "docs/how-to/deploy.md#try-it-first sh": _DOCKER,
    "docs/how-to/deploy.md#run-it sh": _DOCKER,
    "docs/how-to/deploy.md#secrets sh": _DOCKER,
    "docs/how-to/deploy.md#serve-it-to-browsers-and-programs-without-redis sh": _DOCKER,
    "docs/how-to/deploy.md#record-it sh": _DOCKER,
    "docs/how-to/deploy.md#watch-it sh": _DOCKER,
    "docs/how-to/deploy.md#scale-it sh": NotRun("two lines of an .env file"),
    "docs/how-to/deploy.md#back-it-up sh": _DOCKER,
    "docs/how-to/deploy.md#back-it-up sh 2": _DOCKER,
    "docs/how-to/deploy.md#without-docker sh": NotRun("installs a service: needs systemd and root"),
    "docs/how-to/operate.md#at-a-glance sh": _DOCKER,
    "docs/how-to/operate.md#two-replicas-of-a-venue sh": _DOCKER,
    f"{_REHEARSE}#1-start-venues-that-can-fail console": RunBy("cli/test_demo.py::test_two_demos_at_once_show_quotes_of_three_venues"),
    f"{_REHEARSE}#1-start-venues-that-can-fail console 2": RunBy("cli/test_demo.py::test_up_runs_the_venues_of_the_settings"),
    f"{_REHEARSE}#2-let-something-go-wrong console": _REHEARSED,
    f"{_REHEARSE}#2-let-something-go-wrong console 2": _REHEARSED,
    f"{_REHEARSE}#2-let-something-go-wrong console 3": _REHEARSED,
    f"{_REHEARSE}#2-let-something-go-wrong console 4": _REHEARSED,
    f"{_REHEARSE}#3-watch-what-your-logic-receives console": _REHEARSED,
    f"{_REHEARSE}#4-check-the-tape-against-the-truth console": _REHEARSED,
    "docs/how-to/secure-the-bus.md#1-an-authority-and-a-certificate sh": _SECURED,
    "docs/how-to/secure-the-bus.md#2-users sh": _SECURED,
    "docs/how-to/secure-the-bus.md#4-crosstape sh": NotRun(
        "needs a redis-cli that was built with TLS; tests/bus/client/test_access.py reads as that user"
    ),
    **dict.fromkeys(
        (f"docs/reference/commands.md#crosstape-{name} console" for name in COMMANDS),
        _SYNOPSIS,
    ),
}
"""Name of a program → how it is tested."""


def blocks() -> Iterator[Block]:
    """Each fenced program of README and docs."""
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]:
        page = path.relative_to(ROOT).as_posix()
        seen: Counter[str] = Counter()
        heading, language, lines = "", None, list[str]()
        for line in path.read_text(encoding="utf-8").splitlines():
            if language is None and (found := re.match(r"#+ (.*)", line)):
                heading = slug(found[1])
            elif language is None and (found := re.match(r"```(\w*)", line)):
                language, lines = found[1], []
            elif line.startswith("```"):
                if language in LANGUAGES:
                    name = f"{page}#{heading} {language}"
                    seen[name] += 1
                    yield Block(f"{name} {seen[name]}" if seen[name] > 1 else name, language, "\n".join(lines) + "\n")
                language = None
            else:
                lines.append(line)


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def examples() -> list[str]:
    """Each file of examples, by its path."""
    files = [path for path in (ROOT / "examples").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sorted(path.relative_to(ROOT).as_posix() for path in files)
