"""Answers from stored bytes, before routing, validation and serialisation.

It stands inside the instruments and the guard, so that hits are measured and guarded, and
outside what encodes answers, so that they need no encoding.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from random import uniform
from time import monotonic, perf_counter
from typing import TypeVar

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from app.caching.answers import HeldAnswer, as_get, keyed, send_entry, without_body
from app.caching.cache import Cache
from app.caching.entries import Entry, Fill, Found
from app.caching.flights import Flight
from app.caching.policies import SHORT, Match, Route, User, digest
from app.observability.context import current_request
from app.observability.counts import Count
from app.startup import refuse_to_start

T = TypeVar("T")

ROUTED = ("route", "fastapi", "endpoint")  # what routing leaves in a scope

# hit, miss, stale (a miss that a write made), wait (for another's miss) or bypass (nothing may
# be kept, or nobody is signed in)
OUTCOMES = Count("cache_requests", "Requests to cached routes.", ["route", "outcome"])


class ResponseCache:
    """Keeps the answers of some routes and gives them to who asks next.

    A middleware further in that encodes answers says for which `Accept-Encoding` header, by a
    static method `encodes`.

    Args:
        cache: keeps the entries, and knows the policies.

    Raises:
        TypeError: when the service starts, for a route that depends on more than its key.
    """

    def __init__(self, app: ASGIApp, cache: Cache) -> None:
        self.app = app
        self.cache = cache
        self.store = cache.store
        self.settings = cache.settings
        self.encodes: Callable[[str], bool] | None = None
        self.routes: list[Route] | None = None  # until the service starts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.routes is None:
            try:
                self.routes = self._checked_routes(scope["app"])
            except TypeError as error:
                await refuse_to_start(error, scope, receive, send)
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            for route in self.routes:
                match = route.match(scope)
                if match is not None:
                    await self._answer(route, match, scope, receive, send)
                    return
        await self.app(scope, receive, send)

    def _checked_routes(self, app: FastAPI) -> list[Route]:
        for middleware in app.user_middleware:
            if encodes := getattr(middleware.cls, "encodes", None):
                self.encodes = _remembered(encodes)
        routes = [Route(path, policy, self.encodes) for path, policy in self.cache.policies.items()]
        for route in routes:
            route.check(app)
        return routes

    async def _answer(
        self, route: Route, match: Match, scope: Scope, receive: Receive, send: Send
    ) -> None:
        key, nobodys = self._key(match, scope)
        if route.policy.user is not None:
            user = await _verified_user(route.policy.user, scope)
            key, nobodys = digest([key, repr(user)]), user is None
        if nobodys:
            self._count(route, "bypass")
            await self._pass(scope, receive, send)
            return
        while True:
            started = perf_counter()
            found = await self.store.get(key, match.tags)
            _count_time(started)
            if found.entry is not None:
                await self._serve(found.entry, "hit", route, scope, send)
                return
            # Without a store nobody knows the generations, but this process its own writes.
            name = (key, found.generations or self.store.writes)
            flight = self.cache.flights.lead(name)
            if flight is not None:
                break
            try:
                entry = await _counted(self.cache.flights.wait(name, self.settings.fill_seconds))
            except LookupError:
                continue
            if entry is not None:
                await self._serve(entry, "wait", route, scope, send)
                return
            self._count(route, "miss")
            await self._pass(scope, receive, send)
            return
        with flight:
            miss = _Miss(route, key, match, found, flight)
            await self._fill(miss, scope, receive, send)

    async def _fill(self, miss: "_Miss", scope: Scope, receive: Receive, send: Send) -> None:
        begun = await _counted(self._begin(miss))
        if isinstance(begun, Entry):  # another process was first
            miss.flight.land(begun)
            await self._serve(begun, "wait", miss.route, scope, send)
            return
        self._count(miss.route, "stale" if miss.found.stale else "miss")
        ended = False

        async def end(entry: Entry | None) -> None:
            nonlocal ended
            ended = True
            if begun is not None:
                await _counted(self.store.end(miss.key, miss.match.tags, begun, entry))

        async def made(entry: Entry | None) -> None:
            await end(entry)
            miss.flight.land(entry)
            if entry is not None:
                await send_entry(entry, scope, send, age=False)

        inner = keyed(scope, miss.match.query)
        scope["route"] = miss.route
        limit = self.settings.max_entry_bytes
        answer = HeldAnswer(miss.route, inner, without_body(scope, send), limit, made)
        try:
            await self.app(inner, receive, answer)
        finally:
            if not ended:
                await end(None)
            scope.update({name: inner[name] for name in ROUTED if name in inner})

    async def _begin(self, miss: "_Miss") -> Fill | Entry | None:
        """Ask for the right to fill.

        Returns:
            The right; the entry, if another process has made it meanwhile; None, when it made
            none or took too long: then everybody asks alone.
        """
        fill = await self.store.begin(miss.key, miss.match.tags)
        if fill.mine and fill.found.entry is None:
            return fill
        holder, pause = fill.token, 0.01
        deadline = monotonic() + self.settings.fill_seconds
        while not fill.mine and fill.found.entry is None:
            if fill.token != holder or monotonic() > deadline:
                return None
            await asyncio.sleep(pause * uniform(0.5, 1))  # noqa: S311
            pause = min(2 * pause, 0.1)
            fill = await self.store.begin(miss.key, miss.match.tags)
        if fill.mine:
            if fill.found.stale:  # the other has made one, but for a write
                return fill
            await self.store.end(miss.key, miss.match.tags, fill, None)
        return fill.found.entry

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(as_get(scope), receive, without_body(scope, send))

    async def _serve(
        self, entry: Entry, outcome: str, route: Route, scope: Scope, send: Send
    ) -> None:
        self._count(route, outcome)
        scope["route"] = route
        # With `max_age` clients count from now: whatever is served is good now.
        await send_entry(entry, scope, send, age=not route.policy.max_age)

    def _key(self, match: Match, scope: Scope) -> tuple[bytes, bool]:
        """Return the key of what all share, and whether this one brings credentials."""
        accepted, credentials = [], False
        for name, value in scope["headers"]:
            if name == b"accept-encoding":
                accepted.append(value)
            elif name in (b"authorization", b"cookie"):
                credentials = True
        key = match.key
        if self.encodes is not None and self.encodes(b", ".join(accepted).decode("latin-1")):
            key += b"encoded"
        return key, credentials

    def _count(self, route: Route, outcome: str) -> None:
        OUTCOMES.add(route.path, outcome)


@dataclass(slots=True)
class _Miss:
    """What a request was found to lack, and the flight in which it is made."""

    route: Route
    key: bytes
    match: Match
    found: Found
    flight: Flight


def _remembered(encodes: Callable[[str], bool]) -> Callable[[str], bool]:
    """Remember what was found for short headers: a client chooses how long they are."""
    known = lru_cache(maxsize=128)(encodes)
    return lambda header: (known if len(header) < SHORT else encodes)(header)


async def _verified_user(user: User, scope: Scope) -> str | None:
    try:
        return await user(HTTPConnection(scope))
    except HTTPException:  # the route will say so itself
        return None


async def _counted(awaitable: Awaitable[T]) -> T:
    """Count the time as the cache's share of the request's."""
    started = perf_counter()
    try:
        return await awaitable
    finally:
        _count_time(started)


def _count_time(started: float) -> None:
    request = current_request.get()
    if request is not None:
        request.add_span("cache", started, perf_counter())
