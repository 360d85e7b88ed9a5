"""The baseline of `serve`: aiohttp and msgspec, which decode a JSON body and send it back.

Run as a process of its own: `python benchmarks/echo_server.py PORT`. It runs on uvloop.
"""

import asyncio
import sys

import msgspec
import uvloop
from aiohttp import web

decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode


async def echo(request: web.Request) -> web.Response:
    """Answer with the body."""
    body = decode(await request.read())
    return web.Response(body=encode(body), content_type="application/json")


async def serve(port: int) -> None:
    """Serve until killed."""
    app = web.Application(client_max_size=32 * 2**20)
    app.router.add_post("/{path:.*}", echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=8192).start()
    print("ready", file=sys.stderr, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
