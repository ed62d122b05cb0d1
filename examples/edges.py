"""Prints where one could buy on one venue and sell on another, with both taker fees paid: when that begins, and how it ended.

    python examples/edges.py redis://127.0.0.1:6379

The aggregator computes edges if the setting `aggregator.taker_fees_bps` names the fees of both venues. An edge is no order: between its
price and yours are the network, the venues' engines, and all others who see it.
"""

import argparse
import asyncio
import contextlib

from crosstape import CrosstapeError, Edge, EdgeChange, Missed, Tape

INSTRUMENTS = ("BTC-USDT", "ETH-USDT", "BTC-USD", "ETH-USD")


class Edges:
    """The edges that are open, each with the best that it has offered."""

    def __init__(self) -> None:
        self.best: dict[tuple[str, str, str], Edge] = {}

    def apply(self, edge: Edge) -> None:
        """Print an edge that opens, and one that closes."""
        key = (edge.instrument, edge.buy_venue, edge.sell_venue)
        where = f"{edge.instrument}: buy on {edge.buy_venue}, sell on {edge.sell_venue}"
        best = self.best.get(key)
        if edge.change is EdgeChange.CLOSE:
            if self.best.pop(key, None) is not None and best is not None:
                lived_s = (edge.ts - edge.opened_ts) / 1e9
                print(f"{where}: over after {lived_s:.2f} s ({edge.reason}); at best {best.net_bps:.2f} bps", flush=True)
            return
        if best is None or best.epoch != edge.epoch:
            size = f"for {edge.size}" if edge.size else "for what size the books do not show"
            print(f"{where}: {edge.net_bps:.2f} bps after fees, {size}, at {edge.ask_price} and {edge.bid_price}", flush=True)
        if best is None or best.epoch != edge.epoch or (edge.net_bps or 0) > (best.net_bps or 0):
            self.best[key] = edge

    def missed(self, what: Missed) -> None:
        """Called for events that this program did not get: perhaps they said that an edge is over."""
        self.drop(list(self.best), f"{what.count or 'some'} events were missed")

    def drop(self, keys: list[tuple[str, str, str]], why: str) -> None:
        """Forget edges of which nobody knows whether they are still there."""
        for key in keys:
            del self.best[key]
            print(f"{key[0]}: buy on {key[1]}, sell on {key[2]}: not known any more, {why}", flush=True)


async def main(url: str) -> None:
    """Print each edge from now on."""
    edges = Edges()
    async with Tape(url) as tape:
        events = tape.edges(*INSTRUMENTS, on_missed=edges.missed)
        while True:
            for edge in await events.read(timeout_s=1.0):
                edges.apply(edge)
            edges.drop([key for key, edge in edges.best.items() if not tape.is_current(edge)], "its aggregator gives no sign of life")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Where could one buy on one venue and sell on another, after fees?")
    parser.add_argument("url", help="of the server, such as redis://127.0.0.1:6379")
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main(parser.parse_args().url))
    except CrosstapeError as error:
        parser.error(str(error))
