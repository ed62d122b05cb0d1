#!/bin/sh
# aiohttp 3.14.5: the variables that send REST through a proxy leave WebSockets of the same host on the direct way.
#
# One would guess: with `ClientSession(trust_env=True)` and HTTPS_PROXY set, `get("https://venue")` and `ws_connect("wss://venue")` take the
#   same proxy, as with the `websockets` package (its page "Proxies"): wss is https with an upgrade.
# What is true: a wss address asks for WSS_PROXY and a ws address for WS_PROXY alone (aio-libs/aiohttp#4661). Without these the WebSocket is opened directly and
#   nothing is said. And a ws address (no TLS) with `proxy=` is sent to the proxy as `GET ws://venue/ HTTP/1.1`, not as a CONNECT, which
#   RFC 6455, section 4.1, asks for: a proxy that only tunnels refuses it.
# Why market-data people care: snapshots by REST and the stream then come by two ways, from two addresses. Where only the proxy leads out, the
#   stream never connects while REST works; where both ways are open, the stream leaves by an address that nobody allowed at the venue, and
#   limits per address are counted apart.
# Seen 2026-11-29, Python 3.11: "https: CONNECT", "wss: direct", "wss with WSS_PROXY: CONNECT", "ws with proxy=: GET ws://… and a 405".
# The exit code is 0 while that is so.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check aiohttp==3.14.5 trustme==1.2.1
cat > "$place/probe.py" <<'END'
import asyncio, contextlib, os, ssl

import aiohttp, trustme
from aiohttp import web


async def answer(request):
    if request.headers.get("Upgrade", "").lower() != "websocket":
        return web.Response(text="hello")
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str("hello")
    await socket.close()
    return socket


async def main():
    authority = trustme.CA()
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_tls)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    for tls in (None, server_tls):
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    plain, secure = (address[1] for address in runner.addresses)

    asked = []

    async def gate(reader, writer):
        first = (await reader.readuntil(b"\r\n\r\n")).decode().partition("\r\n")[0]
        asked.append(first)
        if not first.startswith("CONNECT "):
            writer.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", int(first.split()[1].rpartition(":")[2]))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def copy(source, sink):
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            sink.close()

        await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer))

    proxy = await asyncio.start_server(gate, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ["HTTP_PROXY"] = os.environ["HTTPS_PROXY"] = url

    async def way(kind, address, **options):
        asked.clear()
        async with aiohttp.ClientSession(trust_env=True) as session:
            try:
                if kind == "get":
                    async with session.get(address, **options) as got:
                        said = await got.text()
                else:
                    async with session.ws_connect(address, **options) as socket:
                        said = await socket.receive_str()
            except aiohttp.WSServerHandshakeError as exc:
                said = exc.status
            return said, list(asked)

    rest = await way("get", f"https://localhost:{secure}/", ssl=trust)
    stream = await way("ws", f"wss://localhost:{secure}/", ssl=trust)
    bare = await way("ws", f"ws://localhost:{plain}/", proxy=url)
    os.environ["WSS_PROXY"] = url
    named = await way("ws", f"wss://localhost:{secure}/", ssl=trust)
    for what, seen in (("https", rest), ("wss", stream), ("wss with WSS_PROXY", named), ("ws with proxy=", bare)):
        print(f"{what}: {seen[0]!r}, the proxy was asked: {seen[1] or 'nothing'}")
    assert rest == ("hello", [f"CONNECT localhost:{secure} HTTP/1.1"]), rest
    assert stream == ("hello", []), stream
    assert named == ("hello", [f"CONNECT localhost:{secure} HTTP/1.1"]), named
    assert bare == (405, [f"GET ws://localhost:{plain}/ HTTP/1.1"]), bare
    proxy.close()
    await runner.cleanup()


asyncio.run(main())
END
"$place/env/bin/python" "$place/probe.py"
