# SPDX-License-Identifier: MIT
# support/websocket_peer.py - Python's websockets as the other end: `serve` echoes, `ask URL` sends and compares.
import asyncio
import os
import sys

import websockets

LENGTHS = [int(length) for length in os.environ["LENGTHS"].split()]
COMPRESSION = "deflate" if "compress" in sys.argv else None


async def serve():
    async def echo(ws):
        try:
            async for message in ws:
                await ws.send(message)
        except websockets.ConnectionClosedError:  # by any code but 1000 and 1001
            pass
        print("closed", ws.close_code, ws.close_reason, flush=True)

    settings = {"compression": COMPRESSION, "subprotocols": ["chat"], "max_size": 2**22}
    server = await websockets.serve(echo, "127.0.0.1", 0, **settings)
    print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Future()


async def ask(url):
    count = 0
    async with websockets.connect(url, compression=COMPRESSION, subprotocols=["chat"], max_size=2**22) as ws:
        for n in LENGTHS:
            for message in (("grüße " * (n // 6 + 1))[:n], (b"abcdefghi" * (n // 9 + 1))[:n]):
                await ws.send(message)
                assert await ws.recv() == message
                count += 1
        await ws.send(["in ", "fragments"])
        assert await ws.recv() == "in fragments"
        await (await ws.ping("are you there"))
        await ws.close(3333, "done")
        extensions = ", ".join(str(e.name) for e in ws.extensions)
        print("%d messages, 1 pong, %d, %s, %s" % (count, ws.close_code, ws.subprotocol, extensions))


asyncio.run(serve() if sys.argv[1] == "serve" else ask(sys.argv[2]))
