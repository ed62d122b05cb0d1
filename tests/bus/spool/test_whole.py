"""Whatever happens to the server and to the spooling process, each stream is complete."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.bus.spool.spooling import files, trade_ids
from tests.bus.tape import BTC, ETH, GAPS, KEYS, fast, on_tape, publishing, quote, trade, whole
from tests.proxy import proxy

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["btc", "eth", "quote"]), st.integers(1, 60)),
        st.sampled_from(["cut", "lose", "cut mid", "refuse", "allow", "wait", "turn", "kill"]),
    ),
    max_size=25,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, cap=st.integers(1, 40))
async def test_whatever_happens_each_stream_is_whole(client: Redis, valkey: str, steps: list[tuple[str, int] | str], cap: int) -> None:
    """Every trade once and in order, for every sequence of publishing, trouble, and ends as of a killed process."""
    await client.flushall()
    sent = {BTC: 0, ETH: 0}
    with tempfile.TemporaryDirectory() as name:
        async with proxy(valkey) as net:
            options = {"batch": cap, "pending": 40, "backoff_s": 0.01}
            again = True
            todo = list(steps)
            while again:
                again = False
                async with publishing(fast(net.url, **options), spool=Path(name)) as publisher:
                    while todo:
                        match todo.pop(0):
                            case ("quote", int() as count):
                                publisher.publish_all(quote(number) for number in range(1, count + 1))
                            case (str() as kind, int() as count):
                                instrument = BTC if kind == "btc" else ETH
                                for _ in range(count):
                                    sent[instrument] += 1
                                    publisher.publish(trade(sent[instrument], instrument))
                            case "cut":
                                net.cut()
                            case "lose":
                                net.lose_answers = 1
                            case "cut mid":
                                net.cut_after = 700
                            case "refuse":
                                net.refusing = True
                            case "allow":
                                net.refusing = False
                            case "turn":
                                await asyncio.sleep(0)
                            case "kill":
                                publisher._overflow.spool_pending()  # else what is in memory is lost, as it is with any process
                                again = True
                                break
                            case _:
                                for _ in range(20):
                                    await asyncio.sleep(0)
                    if not again:
                        net.refusing, net.lose_answers, net.cut_after = False, 0, None
                        async with asyncio.timeout(20):
                            await publisher.claimed()
                        assert await publisher.drain(20)
        assert not files(Path(name))
    for instrument, count in sent.items():
        events = await on_tape(client, KEYS.stream("trade", instrument))
        assert trade_ids(events) == whole(count)
        by_epoch: dict[int, list[int]] = {}
        for event in events:
            by_epoch.setdefault(event.epoch, []).append(event.seq)
        assert all(seqs == whole(len(seqs)) for seqs in by_epoch.values())
    assert not await on_tape(client, GAPS)
