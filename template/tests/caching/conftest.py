"""A small service whose endpoints count how often they run, in front of the real store."""

from collections import Counter
from collections.abc import Hashable
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from starlette.requests import HTTPConnection

from app.caching import Cached, Policies
from app.caching.cache import Cache
from app.caching.entries import Entry, Store
from app.caching.flights import Flights
from app.caching.layer import OUTCOMES, ResponseCache
from app.caching.settings import CacheSettings


async def token_user(connection: HTTPConnection) -> str | None:
    """Verify a made-up token, `token-NAME`."""
    _, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.removeprefix("token-") if token.startswith("token-") else None


class Feature:
    """Policies of a test, and what its writes make stale."""

    def __init__(self, policies: Policies) -> None:
        self.POLICIES = policies

    def stale_tags(self, changed: object) -> list[str]:
        return []


class Service:
    """A service of a test.

    Args:
        store: keeps its entries.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.app = FastAPI()
        self.runs: Counter[str] = Counter()
        self.outcomes: Counter[tuple[str, ...]] = Counter()  # by route
        self.waits = 0  # of requests for what another one makes
        self.cache: Cache

    def serve(self, settings: CacheSettings | None = None, **policies: Cached) -> AsyncClient:
        """Return a client; `number__value` is the policy of `/number/{value}`."""
        paths = {}
        for name, policy in policies.items():
            word, _, parameter = name.partition("__")
            paths[f"/{word}" + ("/{" + parameter + "}" if parameter else "")] = policy
        self.cache = Cache(self.store, settings or CacheSettings(), Feature(paths))
        self.app.add_middleware(ResponseCache, cache=self.cache)
        return AsyncClient(transport=ASGITransport(self.app), base_url="http://test")


@pytest.fixture
async def store(app: FastAPI, state: dict[str, Any]) -> Store:
    """The service's own store, empty."""
    (cache,) = [it.kwargs["cache"] for it in app.user_middleware if "cache" in it.kwargs]
    assert isinstance(cache, Cache)
    return cache.store


@pytest.fixture
def service(store: Store, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service whose `/thing` numbers its answers."""
    service = Service(store)
    monkeypatch.setattr(OUTCOMES, "add", lambda *labels: service.outcomes.update([labels]))
    wait = Flights.wait

    async def count(self: Flights, name: Hashable, seconds: float) -> Entry | None:
        service.waits += 1
        return await wait(self, name, seconds)

    monkeypatch.setattr(Flights, "wait", count)

    @service.app.get("/thing")
    async def thing() -> int:
        service.runs["thing"] += 1
        return service.runs["thing"]

    return service
