"""Entries in the memory of the process: the fastest, and every worker has its own."""

import logging
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import chain
from multiprocessing import parent_process
from time import time

from cachetools import LRUCache
from pydantic import Field

from app.caching.cache import Cache, features
from app.caching.entries import Entry, Fill, Found
from app.caching.settings import CacheSettings as CommonSettings

logger = logging.getLogger(__name__)

OVERHEAD = 600  # bytes that an entry takes beside its body and its headers, about
HEADER = 110  # and a header beside its words
MAX_TAGS = 10_000  # that are remembered to have changed


class CacheSettings(CommonSettings):
    """The limits of a cache in memory."""

    max_bytes: int = Field(default=67_108_864, ge=0)  # all entries of a worker together


class MemoryStore:
    """Keeps the entries that were asked for last.

    Args:
        settings: its limits.
    """

    def __init__(self, settings: CacheSettings) -> None:
        # With each entry goes the moment before its rows were read.
        self._entries: LRUCache[bytes, tuple[int, Entry]] = LRUCache(settings.max_bytes, _size)
        self.writes = 0
        self._changed: dict[str, int] = {}  # when a tag did
        self._forgotten = 0  # until when that is not known any more

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Say so when other workers will have other entries."""
        if _may_have_others():
            logger.warning(
                "this worker may give answers that another has made stale, until their time is up"
            )
        yield

    async def get(self, key: bytes, tags: Sequence[str]) -> Found:
        changed = self._forgotten
        for tag in tags:
            changed = max(changed, self._changed.get(tag, 0))
        made, entry = self._entries.get(key, (0, None))
        if entry is None:
            return Found(None, (changed,))
        if made < changed:
            return Found(None, (changed,), stale=True)
        if time() >= entry.made + entry.seconds:
            return Found(None, (changed,))
        return Found(entry, (changed,))

    async def begin(self, key: bytes, tags: Sequence[str]) -> Fill:
        return Fill(Found(None, (self.writes,)))

    async def end(self, key: bytes, tags: Sequence[str], fill: Fill, entry: Entry | None) -> None:
        (made,) = fill.found.generations
        if entry is not None and self._entries.get(key, (0, None))[0] <= made:
            with suppress(ValueError):  # it is larger than the limit of all
                self._entries[key] = (made, entry)

    async def invalidate(self, tags: Sequence[str]) -> None:
        self.writes += 1
        for tag in tags:
            self._changed[tag] = self.writes
        if len(self._changed) > MAX_TAGS:
            self._changed.clear()
            self._forgotten = self.writes


def new_cache() -> Cache:
    """Return the service's cache; its limits come from the environment."""
    settings = CacheSettings()
    return Cache(MemoryStore(settings), settings, *features())


def _may_have_others() -> bool:
    """Tell whether a server said so, or started this process and not to reload the code."""
    if int(os.environ.get("WEB_CONCURRENCY") or 1) > 1:
        return True
    reloads = "--reload" in sys.argv or sys.argv[1:2] == ["dev"]
    return parent_process() is not None and not reloads


def _size(made_and_entry: tuple[int, Entry]) -> int:
    entry = made_and_entry[1]
    headers = sum(map(len, chain.from_iterable(entry.headers))) + HEADER * len(entry.headers)
    return len(entry.body) + headers + OVERHEAD
