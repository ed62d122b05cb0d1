"""A loopback server with just enough of Binance spot to load a connector, cheap enough not to be what is measured.

    python benchmarks/source.py PORT --symbols 20 --count 200000            # trade frames as fast as they are taken
    python benchmarks/source.py PORT --kind aggTrade                        # aggTrade frames, which other libraries subscribe
    python benchmarks/source.py PORT --symbols 20 --count 50000 --rate 5000 # bookTicker frames, so many a second

Pairs are COIN0USDT, COIN1USDT …; frames start after the first SUBSCRIBE, or at once if the address names streams; they are the same on
every connection, and the socket then stays open. Trade ids and update ids rise by one per symbol from 1. With a rate, a quote's bid size is
the moment of sending, in seconds with nine decimals: exact digits travel through the tape unchanged, so whoever reads a consolidated quote
can tell how long it took.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import struct
import time
from collections.abc import AsyncIterator

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
CHUNK = 64
FIXED_MS = 1_700_000_000_000


def text_frame(payload: bytes) -> bytes:
    """An unmasked WebSocket text frame."""
    size = len(payload)
    head = bytes((0x81, size)) if size < 126 else b"\x81\x7e" + struct.pack(">H", size)
    return head + payload


def trade(kind: str, index: int, symbols: int) -> bytes:
    """The `index`-th frame: one trade, round robin over the symbols."""
    number, coin = divmod(index, symbols)
    price = f"{57000 + index % 977 / 100:.2f}000000"
    ids = f'"a":{number + 1},"f":{number + 1},"l":{number + 1}' if kind == "aggTrade" else f'"t":{number + 1}'
    data = (
        f'{{"e":"{kind}","E":{FIXED_MS},"s":"COIN{coin}USDT",{ids},"p":"{price}","q":"0.0{index % 89 + 10}21000",'
        f'"T":{FIXED_MS},"m":{"true" if index & 1 else "false"},"M":true}}'
    )
    return text_frame(f'{{"stream":"coin{coin}usdt@{kind}","data":{data}}}'.encode())


def quote(index: int, symbols: int, now_ns: int) -> bytes:
    """The `index`-th frame: one bookTicker whose bid size is `now_ns`."""
    number, coin = divmod(index, symbols)
    seconds, rest = divmod(now_ns, 1_000_000_000)
    data = f'{{"u":{number + 1},"s":"COIN{coin}USDT","b":"57000.00","B":"{seconds}.{rest:09d}","a":"57000.01","A":"1.00000000"}}'
    return text_frame(f'{{"stream":"coin{coin}usdt@bookTicker","data":{data}}}'.encode())


def exchange_info(symbols: int) -> bytes:
    """The answer to `GET …/exchangeInfo`."""
    filters = [{"filterType": "PRICE_FILTER", "tickSize": "0.01"}, {"filterType": "LOT_SIZE", "stepSize": "0.00001"}]
    rows = [
        {"symbol": f"COIN{i}USDT", "status": "TRADING", "baseAsset": f"COIN{i}", "quoteAsset": "USDT", "filters": filters}
        for i in range(symbols)
    ]
    return json.dumps({"timezone": "UTC", "serverTime": FIXED_MS, "symbols": rows}).encode()


class Source:
    """Serves frames. They are encoded before the first client connects, unless they carry the time."""

    def __init__(self, symbols: int, count: int, rate: float, kind: str) -> None:
        self.symbols, self.count, self.rate = symbols, count, rate
        self.info = exchange_info(symbols)
        starts = range(0, 0 if rate else count, CHUNK)
        self.chunks = [b"".join(trade(kind, i, symbols) for i in range(start, min(start + CHUNK, count))) for start in starts]

    async def send(self, writer: asyncio.StreamWriter) -> None:
        """Send all frames to one client."""
        for chunk in self.chunks:
            writer.write(chunk)
            await writer.drain()
        if not self.rate:
            return
        start, sent = time.monotonic(), 0
        while sent < self.count:
            due = min(self.count, int((time.monotonic() - start) * self.rate) + 1)
            for index in range(sent, due):
                writer.write(quote(index, self.symbols, time.time_ns()))
            sent = due
            await writer.drain()
            await asyncio.sleep(0.0005)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer HTTP requests until the upgrade, then serve the WebSocket."""
        sending: asyncio.Task[None] | None = None
        try:
            while b"upgrade: websocket" not in (request := await reader.readuntil(b"\r\n\r\n")).lower():
                body = self.info if b"exchangeInfo" in request.split(b"\r\n", 1)[0] else b"{}"
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            key = next(line.split(b":", 1)[1].strip() for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
            writer.write(b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            if b"streams=" in request.split(b"\r\n", 1)[0]:
                sending = asyncio.create_task(self.send(writer), name="source.send")
            async for opcode, payload in client_frames(reader):
                if opcode == 8:
                    writer.write(b"\x88" + bytes((len(payload),)) + payload)
                    break
                if opcode == 9:
                    writer.write(b"\x8a" + bytes((len(payload),)) + payload)
                elif opcode == 1 and b'"SUBSCRIBE"' in payload:
                    writer.write(text_frame(json.dumps({"result": None, "id": json.loads(payload)["id"]}).encode()))
                    sending = sending or asyncio.create_task(self.send(writer), name="source.send")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away: nothing is owed to it
        finally:
            if sending:
                sending.cancel()
            writer.close()


async def client_frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    """Yields opcode and unmasked payload of each frame of a client."""
    while True:
        first, second = await reader.readexactly(2)
        size = second & 127
        if size == 126:
            (size,) = struct.unpack(">H", await reader.readexactly(2))
        mask = await reader.readexactly(4)
        payload = await reader.readexactly(size)
        yield first & 15, bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))


async def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--kind", choices=("trade", "aggTrade"), default="trade", help="of the trades, without a rate")
    parser.add_argument("--rate", type=float, default=0.0, help="frames a second; 0: as fast as they are taken")
    options = parser.parse_args()
    source = Source(options.symbols, options.count, options.rate, options.kind)
    server = await asyncio.start_server(source.serve, "127.0.0.1", options.port)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
