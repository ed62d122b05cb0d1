"""The page's pure modules, in the browser that runs them, against what Python says of the same input."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from crosstape.liveness import SignsOfLife
from crosstape_schemas import CONSOLIDATED, EdgeChange, FeedState, Quote, Status, encode
from crosstape_schemas.events import stamp
from tests.browser.market import BTC, bar, edge, gap
from tests.browser.rig import Gateway
from tests.browser.tab import Tab, opened

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]

SECOND_NS = 10**9


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def modules(chromium: Browser, valkey: str) -> AsyncIterator[Tab]:
    """A page of a gateway whose tape does not matter."""
    async with Gateway(valkey) as gateway, opened(chromium) as tab:
        await tab.open(gateway.url)
        yield tab


async def test_decimals_are_exact(modules: Tab) -> None:
    """Sums, differences, order, rounding and digits are those of Python's decimals, for any length and sign."""
    chance = random.Random(1)
    pairs = [(number(chance), number(chance)) for _ in range(1_000)]
    found = await modules.run(
        """async (pairs) => {
            const { add, compare, digits, places, round, subtract } = await import("/page/state/decimal.js");
            return pairs.map(([a, b], at) => [add(a, b), subtract(a, b), compare(a, b), round(a, at % 9), digits(a), places(a)]);
        }""",
        pairs,
    )
    with localcontext(prec=80):
        for at, ((a, b), (total, difference, order, rounded, digits, places)) in enumerate(zip(pairs, found, strict=True)):
            left, right, exponent = Decimal(a), Decimal(b), Decimal(a).as_tuple().exponent
            assert isinstance(exponent, int)
            assert (Decimal(total), Decimal(difference)) == (left + right, left - right)
            assert order == (left > right) - (left < right)
            wanted = left.quantize(Decimal(1).scaleb(-(at % 9)), ROUND_HALF_EVEN) if -exponent > at % 9 else left
            assert Decimal(rounded) == wanted, (a, at % 9)
            assert (digits, places) == (-exponent, len(f"{left:f}".rstrip("0").partition(".")[2]) if "." in a else 0)


def number(chance: random.Random) -> str:
    """A decimal in plain notation, often with zeros at its end, or one that is halfway between two."""
    digits = chance.randint(0, 24)
    whole = str(chance.randint(0, 10 ** chance.randint(0, 12)))
    fraction = "".join(chance.choice("0005949") for _ in range(digits))
    return ("-" if chance.random() < 0.3 else "") + (f"{whole}.{fraction}" if digits else whole)


async def test_integers_beyond_floats_are_read_exactly(modules: Tab) -> None:
    """Times and epochs are BigInt to the last digit, as numbers and as the text of ints=string; sizes stay text."""
    found = await modules.run(
        """async (text) => {
            const { PARAMETERS, parse } = await import("/page/wire/json.js");
            const read = (value) => [value.ts, value.epoch, value.open_ts, value.venue_ts, value.size, value.seq].map(String);
            const { ts } = parse(text);
            return [read(parse(text)), read(parse(text.replace(/:(\\d{19})/g, ':"$1"'))), typeof ts, PARAMETERS];
        }""",
        '{"ts":1796062530406750203,"epoch":9007199254740993,"open_ts":1796062530406758073,"venue_ts":null,"size":"0.1000","seq":3}',
    )
    wanted = ["1796062530406750203", "9007199254740993", "1796062530406758073", "null", "0.1000", "3"]
    assert found == [wanted, wanted, "bigint", {}]


async def test_signs_of_life_are_judged_as_in_python(modules: Tab) -> None:
    """In any order of statuses, restarts, delays and pauses, both say at every step whether an event is current."""
    chance = random.Random(2)
    steps, wanted = [], []
    for _ in range(30):
        signs, now_s, seqs = SignsOfLife(), 1_000.0, dict[tuple[str, int], int]()
        for at in range(40):
            now_s += chance.choice((0.013, 0.571, 1.003, 1.003, 1.007, 2.917, 4.109))
            venue, epoch = chance.choice(("kraken", CONSOLIDATED)), chance.choice((7, 7, 7, 8))
            seqs[venue, epoch] = seqs.get((venue, epoch), 0) + chance.choice((1, 1, 1, 0))
            received_ts = int((now_s - chance.choice((0.0, 0.021, 0.533, 5.119))) * SECOND_NS)
            state = chance.choice((FeedState.LIVE, FeedState.LIVE, FeedState.LIVE, FeedState.DOWN))
            status = Status(venue, "*", None, received_ts, "*", state, epoch=epoch, seq=seqs[venue, epoch])
            signs.apply(status, now_s, int(now_s * SECOND_NS))
            events = [
                Quote("kraken", BTC, None, 1, None, None, None, None, epoch=7),
                msgspec.structs.replace(edge(EdgeChange.OPEN, "1"), epoch=7),
                gap(1),
            ]
            wanted.append([signs.is_current(event, now_s) for event in events])
            steps.append([at == 0, now_s * 1_000, encode(status).decode(), [encode(event).decode() for event in events]])
    found = await modules.run(
        """async (steps) => {
            const { SignsOfLife } = await import("/page/state/life.js");
            const { parse } = await import("/page/wire/json.js");
            let life;
            return steps.map(([isFirst, nowMs, status, events]) => {
                if (isFirst) life = new SignsOfLife();
                life.apply(parse(status), nowMs, nowMs);
                return events.map((event) => life.isCurrent(parse(event), nowMs));
            });
        }""",
        steps,
    )
    assert found == wanted
    assert len({tuple(one) for one in wanted}) > 3


async def test_repeats_change_nothing(modules: Tab) -> None:
    """A resumed stream sends the last seconds again: no gap is listed twice, and an edge that has closed stays closed."""
    events = [stamped(gap(5), 1), stamped(edge(EdgeChange.OPEN, "1"), 1), stamped(edge(EdgeChange.CLOSE, "0"), 2), stamped(gap(7), 2)]
    found = await modules.run(
        """async (events) => {
            const { Tape } = await import("/page/state/tape.js");
            const { parse } = await import("/page/wire/json.js");
            const tape = new Tape();
            const changes = [...events, ...events].map((event) => tape.apply(parse(event)));
            return [changes, tape.notices.length, tape.edges.size];
        }""",
        events,
    )
    assert found == [["notices", "edges", "edges", "notices", None, None, None, None], 2, 0]


def stamped(event: Any, seq: int) -> str:
    """Returns an event's JSON with a number."""
    return stamp(event, 5, seq).decode()


async def test_memory_is_bounded(modules: Tab) -> None:
    """Thirty thousand events later the page holds no more than its bounds: notices, closed edges, bars."""
    sizes = await modules.run(
        """async ([gap, edge, bar]) => {
            const { Tape, NOTICES } = await import("/page/state/tape.js");
            const { Bars, MOST } = await import("/page/state/bars.js");
            const { parse } = await import("/page/wire/json.js");
            const [tape, bars] = [new Tape(), new Bars()];
            const [one, two, three] = [gap, edge, bar].map(parse);
            for (let seq = 1; seq <= 10_000; seq += 1) {
                tape.apply({ ...one, seq });
                tape.apply({ ...two, seq: 2 * seq, opened_ts: BigInt(seq) });
                tape.apply({ ...two, seq: 2 * seq + 1, opened_ts: BigInt(seq), change: "close" });
            }
            for (let n = 0; n < 5 * MOST; n += 1) {
                bars.apply({ ...three, open_ts: three.open_ts + BigInt(n) * 60_000_000_000n });
            }
            return [tape.notices.length <= NOTICES, tape.notices[0].seq, tape.edges.size, bars.size <= MOST, bars.all().length <= MOST];
        }""",
        [stamped(gap(5), 1), stamped(edge(EdgeChange.OPEN, "1"), 1), stamped(bar(1, "5"), 1)],
    )
    assert sizes == [True, 10_000, 0, True, True]


async def test_delays_grow_and_differ(modules: Tab) -> None:
    """From half a second to fifteen at most, half of it by chance."""
    found = await modules.run(
        """async () => {
            const { delayMs } = await import("/page/wire/stream.js");
            return [0, 1, 2, 3, 30].map((attempt) => [delayMs(attempt, () => 0), delayMs(attempt, () => 1)]);
        }"""
    )
    assert found == [[250, 500], [500, 1_000], [1_000, 2_000], [2_000, 4_000], [7_500, 15_000]]


async def test_ages_follow_the_gateways_clock(modules: Tab) -> None:
    """By wall-clock difference: however wrong this computer's clock is, and however long a timer did not fire."""
    found = await modules.run(
        """async (ts) => {
            const { Clock } = await import("/page/state/clock.js");
            const { span } = await import("/page/view/words.js");
            let now = 5_000;
            const clock = new Clock(() => now);
            clock.learn(BigInt(ts), now);
            const ages = [clock.ageMs(BigInt(ts))];
            now += 3_600_000;
            ages.push(clock.ageMs(BigInt(ts)), clock.ageMs(BigInt(ts) + 3_602_002_000_000n));
            return [...ages, ...ages.map(span)];
        }""",
        str(time.time_ns()),
    )
    assert found == [0, 3_600_000, -2_000, "<1 s", "60 min", "−2 s"]


CLOCK = """async ([offsetMs, messages]) => {
    const { Clock } = await import("/page/state/clock.js");
    let now = 0;
    const clock = new Clock(() => now);
    return messages.map(([writtenMs, lateMs, askedMs, setMs]) => {
        now = writtenMs + lateMs;
        clock.learn(BigInt(Math.floor(writtenMs + offsetMs + setMs)) * 1_000_000n, askedMs);
        return clock.offsetMs - offsetMs - setMs;
    });
}"""
"""Returns how wrong the offset is after each message. A message: when it was written, how late it was handled, when it was asked for, and
by how much the gateway's clock was set before."""


async def test_a_late_message_does_not_turn_the_clock_back(modules: Tab) -> None:
    """The clock is never ahead, and never further behind than the promptest message of the last ten minutes was late."""
    chance = random.Random(3)
    for _ in range(20):
        messages, now = list[tuple[int, int, int | None, int]](), 1_000_000
        for _ in range(100):
            now += chance.choice((5, 200, 5_000, 20_000))
            late = chance.choice((0, 3, 40, 900, 3_000, 12_000))
            asked = now - chance.choice((0, 2, 700)) if chance.random() < 0.3 else None
            messages.append((now, late, asked, 0))
            now += late
        wrong = await modules.run(CLOCK, [chance.randint(-(10**9), 10**9), messages])
        for at, found in enumerate(wrong):
            handled = messages[at][0] + messages[at][1]
            promptest = min(late for written, late, *_ in messages[: at + 1] if handled - written - late < 600_000)
            assert -promptest <= found <= 0, (at, found)


@pytest.mark.parametrize("set_by", [-3_600_000, -2_000, 2_000, 3_600_000])
async def test_a_clock_that_is_set_is_followed(modules: Tab, set_by: int) -> None:
    """At once by the answer to a request; forward also by a message; back by messages alone after ten minutes."""
    before = [[at * 1_000, 1, None, 0] for at in range(20)]
    by_answer = await modules.run(CLOCK, [5_000, [*before, [21_000, 40, 20_990, set_by], [30_000, 900, None, set_by]]])
    assert by_answer[-2:] == [-40, -40]
    by_messages = await modules.run(CLOCK, [5_000, [*before, *([at * 1_000, 7, None, set_by] for at in range(20, 700))]])
    assert by_messages[-1] == -7
    assert by_messages[20] == (-7 if set_by > 0 else -set_by - 1)


async def test_a_busy_page_asks_again_for_the_time(modules: Tab) -> None:
    """It knows by how much its clock may be behind: by as long as the promptest request took. No younger age is shown meanwhile."""
    found = await modules.run(
        """async () => {
            const { Clock } = await import("/page/state/clock.js");
            let now = 10_000;
            const clock = new Clock(() => now);
            clock.learn(10_000n * 1_000_000n);
            const doubts = [String(clock.doubtMs), clock.ageMs(12_000n * 1_000_000n)];
            clock.learn(9_500n * 1_000_000n, 9_000);
            doubts.push(clock.doubtMs, clock.ageMs(10_400n * 1_000_000n), clock.ageMs(11_000n * 1_000_000n));
            now = 20_000;
            clock.learn(19_990n * 1_000_000n, 19_980);
            return [...doubts, clock.doubtMs];
        }"""
    )
    assert found == ["Infinity", 0, 502, 0, -498, 12]


async def test_silence_is_a_venues_only_where_the_page_would_have_heard_it(modules: Tab) -> None:
    """Not while the bus or the stream is away, not before a venue had time to speak again, and not while the whole stream is silent."""
    found = await modules.run(
        """async () => {
            const { Clock } = await import("/page/state/clock.js");
            const { Contact } = await import("/page/state/contact.js");
            let now = 0;
            const contact = new Contact(new Clock(() => now));
            const said = [];
            const say = (at, given, heard = true) => {
                now = at;
                if (heard) contact.heard();
                said.push([contact.knowsSilent(given), contact.away && [contact.away.why, contact.away.asOfMs]]);
            };
            say(1_000, null); // just opened
            say(4_000, null);
            say(9_000, 4_500, false); // nothing at all was heard since
            say(9_000, 4_500);
            contact.bus(9_500_000_000n);
            say(20_000, 4_500);
            contact.bus(null);
            say(21_000, 4_500);
            say(23_000, 4_500);
            contact.lost();
            say(23_500, 4_500, false); // it may come back at once
            say(24_500, 4_500, false);
            contact.found();
            say(25_000, 4_500);
            say(27_500, 4_500);
            return said;
        }"""
    )
    assert found == [
        [False, None], [True, None], [False, None], [True, None],
        [False, ["bus away", 9_500]], [False, None], [True, None],
        [False, None], [False, ["no connection", 23_000]], [False, None], [True, None],
    ]  # fmt: skip
