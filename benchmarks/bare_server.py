"""Falcon on Granian with one constant route and nothing of ours, for orientation.

``python benchmarks/bare_server.py PORT``
"""

import asyncio
import sys

import falcon.asgi
import uvloop
from falcon.asgi import Request, Response
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server


class Constant:
    async def on_get(self, _: Request, resp: Response) -> None:
        resp.data = b'{"status":"alive"}'
        resp.content_type = "application/json"


async def serve(port: int) -> None:
    app = falcon.asgi.App()
    app.add_route("/livez", Constant())
    server = Server(
        app,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    await asyncio.shield(server.serve())


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
