"""The server; with the argument `spared` the garbage collector is treated as the service treats
its own."""

from __future__ import annotations

import gc
import os
import sys
from typing import Any

import aiohttp
import orjson
import uvicorn
import uvloop

from bench.peers.floor.answers import WORKLOADS
from bench.peers.floor.dynamo import Dynamo


async def serve(port: int) -> None:
    connector = aiohttp.TCPConnector(limit=64)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar) as session:
        given = (
            os.environ[name] for name in ("STORE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        )
        dynamo = Dynamo(session, *given)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            body, more = b"", True
            while more:
                message = await receive()
                body, more = body + message.get("body", b""), message.get("more_body", False)
            variables = orjson.loads(body)["variables"]
            answer = orjson.dumps({"data": await WORKLOADS[scope["path"]](dynamo, variables)})
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(answer)).encode()),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": answer})

        config = uvicorn.Config(
            app,
            port=port,
            lifespan="off",
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        if "spared" in sys.argv:
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000)
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(serve(int(os.environ["PORT"])))
