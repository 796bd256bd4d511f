"""The cache of a service: its entries, its policies, and what writes do to them."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from app.caching.entries import Store
from app.caching.flights import Flights
from app.caching.invalidation import invalidating
from app.caching.policies import Cached
from app.caching.settings import CacheSettings
from app.database.roads import Database


class Feature(Protocol):
    """What a feature's `cache.py` says."""

    @property
    def POLICIES(self) -> Mapping[str, Cached]:  # noqa: N802
        """What may be kept, by path with all prefixes, as FastAPI serves it."""

    def stale_tags(self, changed: Any, /) -> Iterable[str]:
        """Return the tags of what a changed row makes stale."""


class Cache:
    """Entries, and what happened to the requests for them.

    Args:
        store: keeps the entries.
        settings: their limits.
        features: say which answers may be kept.
    """

    def __init__(self, store: Store, settings: CacheSettings, *features: Feature) -> None:
        self.store = store
        self.settings = settings
        self.flights = Flights()
        self.policies = {path: it for one in features for path, it in one.POLICIES.items()}
        self._all_stale_tags = [feature.stale_tags for feature in features]

    @asynccontextmanager
    async def watching(self, database: Database) -> AsyncIterator[None]:
        """Keep the store open, and make stale what is written."""
        async with (
            self.store.opened(),
            invalidating(self.store, database.writes, self._stale_tags),
        ):
            yield

    def _stale_tags(self, changed: Any) -> Iterable[str]:
        for stale_tags in self._all_stale_tags:
            yield from stale_tags(changed)


def features() -> list[Feature]:
    """Return the `cache.py` of every feature: of each package of the service that has one."""
    root = Path(__file__).parent.parent
    paths = {*root.rglob("cache.py")} - {Path(__file__)}
    names = (".".join(path.relative_to(root.parent).with_suffix("").parts) for path in paths)
    found: list[Any] = [import_module(name) for name in sorted(names)]
    return found
