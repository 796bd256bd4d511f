"""Answers on their way to the client: held back until they can be kept, or sent from an entry."""

from collections.abc import Awaitable, Callable
from time import time

from starlette.types import Message, Scope, Send

from app.caching.conditional import held_tag, not_modified_headers
from app.caching.entries import Entry
from app.caching.policies import Route
from app.observability.context import path_template

OK, NOT_MODIFIED = 200, 304

# Of the request: the whole answer is asked for, whatever this client has of it.
CONDITIONS = frozenset({b"if-none-match", b"if-modified-since", b"if-range", b"range"})


def as_get(scope: Scope) -> Scope:
    """Return a request for what a GET would get, of which a HEAD is not sent the body."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def keyed(scope: Scope, query: bytes) -> Scope:
    """Return a request for a whole answer, which sees no more of the query than the key has."""
    headers = [pair for pair in scope["headers"] if pair[0] not in CONDITIONS]
    return {**scope, "method": "GET", "headers": headers, "query_string": query}


def without_body(scope: Scope, send: Send) -> Send:
    """Return a `send` that leaves out the body where the request is a HEAD."""
    if scope["method"] != "HEAD":
        return send

    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if "body" in message else message)

    return send_head


class HeldAnswer:
    """An answer that is held back until it is whole, unless it turns out that it cannot be kept.

    Args:
        route: has the policy.
        scope: of the request that is answered, in which routing leaves the route.
        send: sends it on, as it comes, once it cannot be kept.
        limit: bytes of a body that can be.
        made: is called with the entry, which is then for it to send; before anything of what
            cannot be kept is sent on, with None.
    """

    def __init__(
        self,
        route: Route,
        scope: Scope,
        send: Send,
        limit: int,
        made: Callable[[Entry | None], Awaitable[None]],
    ) -> None:
        self._route = route
        self._scope = scope
        self._send = send
        self._limit = limit
        self._made = made
        self._held: list[Message] = []
        self._headers: list[tuple[bytes, bytes]] = []  # of what is held, with names in lower case
        self._passed = False

    async def __call__(self, message: Message) -> None:
        if self._passed:
            await self._send(message)
            return
        self._held.append(message)
        if message["type"] == "http.response.start":
            if self._may_be_kept(message):
                return
        elif message["type"] == "http.response.body" and len(self._held) == 1 + 1:
            body = message.get("body", b"")
            if not message.get("more_body") and len(body) <= self._limit:
                # Now, not when the route has ended: work after the answer may take its time.
                status = self._held[0]["status"]
                await self._made(self._route.entry(status, self._headers, body))
                return
        self._passed = True
        await self._made(None)
        for held in self._held:
            await self._send(held)

    def _may_be_kept(self, start: Message) -> bool:
        # Another route may have answered under a path that looks like this one's.
        if path_template(self._scope) != self._route.path:
            return False
        if start["status"] not in self._route.policy.statuses:
            return False
        self._headers = [(name.lower(), value) for name, value in start.get("headers", ())]
        if not any(name == b"content-length" for name, _ in self._headers):  # a stream
            return False
        return not any(self._forbids(name, value) for name, value in self._headers)

    def _forbids(self, name: bytes, value: bytes) -> bool:
        match name:
            case b"set-cookie":
                return True
            case b"cache-control":
                return b"no-store" in value.lower()
            case b"content-encoding":
                return not self._route.tells_apart(value.decode("latin-1"))
            case b"vary":
                return not self._route.has_in_key(value.decode("latin-1").lower())
        return False


async def send_entry(entry: Entry, scope: Scope, send: Send, *, age: bool) -> None:
    """Answer a request from an entry, with a 304 where the client has it."""
    headers = [*entry.headers]  # layers further out may add to it
    status, body = entry.status, b"" if scope["method"] == "HEAD" else entry.body
    if status == OK and (tag := held_tag(scope["headers"], entry.etag)) is not None:
        status, headers, body = NOT_MODIFIED, not_modified_headers(headers, tag), b""
    if age:
        headers.append((b"age", b"%d" % max(0, time() - entry.made)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
