"""A client of a WebSocket, which the tests' HTTP client does not speak."""

from typing import Any

from fastapi import FastAPI
from starlette.types import Message, Scope


async def converse(
    app: FastAPI, state: dict[str, Any], path: str, *texts: str, host: str = "test"
) -> list[Message]:
    """Connect, send texts, leave, and return what the service sent."""
    scope: Scope = {
        **{"type": "websocket", "path": path, "raw_path": path.encode(), "query_string": b""},
        **{"root_path": "", "headers": [(b"host", host.encode())], "subprotocols": []},
        **{"state": dict(state), "extensions": {"websocket.http.response": {}}},
    }
    sent: list[Message] = []
    messages: list[Message] = [
        {"type": "websocket.connect"},
        *({"type": "websocket.receive", "text": text} for text in texts),
        {"type": "websocket.disconnect", "code": 1000},
    ]
    to_come = iter(messages)

    async def receive() -> Message:
        return next(to_come)

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent
