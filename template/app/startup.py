"""What must keep a service from starting, said so that every server stops."""

from typing import NoReturn

from starlette.types import Receive, Scope, Send


async def refuse_to_start(error: Exception, scope: Scope, receive: Receive, send: Send) -> NoReturn:
    """Tell the server that the service cannot start, and raise what is wrong.

    Servers take an exception alone for an application that has no start to speak of, and go on:
    https://asgi.readthedocs.io/en/latest/specs/lifespan.html

    Raises:
        Exception: `error`.
    """
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": str(error)})
    raise error
