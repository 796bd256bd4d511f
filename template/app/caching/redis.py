"""Entries in Redis: all workers and hosts share them, and a write is seen by all at once.

Whatever goes wrong with Redis is a miss, quickly, and is counted. What many requests ask at
once goes together: redis-py takes 77 us of CPU for a call, 17 us for each of 16 in one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from time import monotonic
from typing import Any

from pydantic import Field
from pydantic_core import from_json, to_json
from pydantic_settings import SettingsConfigDict
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import RedisError

from app.caching.cache import Cache, features
from app.caching.entries import Entry, Fill, Found
from app.caching.policies import EVERYTHING
from app.caching.settings import CacheSettings as CommonSettings
from app.caching.together import Call, Together
from app.observability.counts import Count

logger = logging.getLogger(__name__)

ERRORS = Count("cache_errors", "Times that the cache could not be reached.")

DRIVER = DriverInfo()  # made once: each connection would look for its version on the disk
PAUSE = 1.0  # seconds without Redis after it could not be reached, then one call tries
TAG_SECONDS = 86_400  # that a tag is remembered; an entry whose tag is forgotten is not used
MAX_OWED = 100  # tags that are told once Redis is back; then all is stale

# Deletes a key only while it is the caller's: https://redis.io/docs/latest/commands/set
GIVE_BACK = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end"


def _release() -> str:
    """Name the code that runs: a digest of the service's and of what makes its answers."""
    digest = blake2b(digest_size=8)
    folder = Path(__file__).parent.parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    for package in ("fastapi", "pydantic"):
        digest.update(version(package).encode())
    return digest.hexdigest()


RELEASE = _release()

Run = Callable[[list[Call]], Coroutine[Any, Any, list[Any]]]


class CacheSettings(CommonSettings):
    """Where Redis is, and how long to wait for it."""

    model_config = SettingsConfigDict(populate_by_name=True)

    url: str = Field(default="redis://127.0.0.1:6379/0", validation_alias="REDIS_URL")
    timeout: float = Field(default=0.1, gt=0, allow_inf_nan=False)  # seconds
    # Of all its keys: services that share a Redis need different ones.
    prefix: str = "cache"


class UnreachableError(Exception):
    """Redis did not answer in time, or is left alone for a moment because it did not."""


class RedisStore:
    """Keeps entries where all workers see them.

    Args:
        settings: where Redis is.
    """

    def __init__(self, settings: CacheSettings) -> None:
        self._settings = settings
        pool = BlockingConnectionPool.from_url(
            settings.url,
            retry=Retry(NoBackoff(), 0),
            max_connections=16,
            driver_info=DRIVER,
        )
        self._client = Redis.from_pool(pool)
        self._lookups = Together(partial(self._reach, self._look_up))
        self._commands = Together(partial(self._reach, self._send))
        # What another release of the code has made may look different.
        self._entries = f"{settings.prefix}:{RELEASE}:".encode()
        self._tags = f"{settings.prefix}:tag:"
        self._reachable = True
        self._next_try = 0.0
        self._owed: set[str] = set()  # tags of writes that Redis has not heard of
        # Rights that it may have given, or not taken back, without an answer: name and token.
        self._unsure: set[tuple[bytes, bytes]] = set()
        self._settling: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Close the connections at the end; they are opened when they are needed."""
        try:
            yield
        finally:
            await self._client.aclose()

    async def get(self, key: bytes, tags: Sequence[str]) -> Found:
        if (self._owed or self._unsure or self._settling) and not await self._settled():
            return Found(None, ())
        names = [self._tags + tag for tag in tags]
        try:
            kept, *generations = await self._lookups.call([self._name(key), *names])
        except UnreachableError:
            return Found(None, ())
        if kept is None:
            return Found(None, tuple(generations))
        try:
            entry, made_of = _decode(kept)
        except (ValueError, TypeError, AttributeError):  # not ours
            return Found(None, tuple(generations))
        if made_of != generations:
            return Found(None, tuple(generations), stale=True)
        return Found(entry, tuple(generations))

    async def begin(self, key: bytes, tags: Sequence[str], found: Found) -> Fill:
        token = token_hex(8).encode()
        # A tag that nobody has heard of gets its generation with the entry.
        fill = Fill(tuple(generation or token for generation in found.generations), token)
        milliseconds = round(self._settings.fill_seconds * 1000)
        lock = self._name(key) + b":lock"
        call = self._commands.call(["SET", lock, token, "NX", "GET", "PX", milliseconds])
        try:
            holder = await asyncio.shield(call)
        except UnreachableError:
            return fill  # it may have been done all the same
        except asyncio.CancelledError:
            call.add_done_callback(lambda _: self._start(self._give_back({(lock, token)})))
            raise
        return fill if holder is None else Fill((), holder, mine=False)

    async def end(self, key: bytes, tags: Sequence[str], fill: Fill, entry: Entry | None) -> None:
        name = self._name(key)
        calls: list[Call] = []
        # Without generations the tags could not be asked for, and nobody could use the entry.
        if entry is not None and fill.generations:
            for tag, generation in zip(tags, fill.generations, strict=True):
                if generation == fill.token:
                    calls.append(["SET", self._tags + tag, generation, "NX", "EX", TAG_SECONDS])
            milliseconds = round(entry.seconds * 1000)
            calls.append(["SET", name, _encode(entry, fill), "PX", milliseconds])
        stored = map(self._commands.call, calls)
        back = self._give_back({(name + b":lock", fill.token)})
        await asyncio.gather(*stored, back, return_exceptions=True)

    async def invalidate(self, tags: Sequence[str]) -> None:
        # A task of its own: a request that is cancelled must not take it along.
        await asyncio.shield(self._start(self._tell(tags)))

    async def _tell(self, tags: Iterable[str]) -> None:
        generation = token_hex(8)
        calls = [["SET", self._tags + tag, generation, "EX", TAG_SECONDS] for tag in tags]
        try:
            await asyncio.gather(*map(self._commands.call, calls))
        except UnreachableError:
            self._owed.update(tags)
            if len(self._owed) > MAX_OWED:
                self._owed = {EVERYTHING}

    async def _settled(self) -> bool:
        """Tell what is owed, before which nothing may be read; return whether all is told."""
        if self._settling is None:
            if not self._may_try():
                return False
            self._settling = self._start(self._settle())
        await asyncio.shield(self._settling)
        self._settling = None
        return not self._owed

    async def _settle(self) -> None:
        owed, self._owed = self._owed, set()
        unsure, self._unsure = self._unsure, set()
        await asyncio.gather(self._tell(owed), self._give_back(unsure))

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _give_back(self, rights: set[tuple[bytes, bytes]]) -> None:
        calls = [["EVAL", GIVE_BACK, 1, lock, token] for lock, token in rights]
        try:
            await asyncio.gather(*map(self._commands.call, calls))
        except UnreachableError:
            self._unsure |= rights
            if len(self._unsure) > MAX_OWED:  # they end by themselves
                self._unsure.clear()

    def _name(self, key: bytes) -> bytes:
        return self._entries + key.hex().encode()

    async def _look_up(self, calls: list[Call]) -> list[Any]:
        names = list(dict.fromkeys(name for names in calls for name in names))
        values = dict(zip(names, await self._client.mget(names), strict=True))
        return [[values[name] for name in names] for names in calls]

    async def _send(self, calls: list[Call]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipeline:
            for words in calls:
                pipeline.execute_command(*words)
            return await pipeline.execute(raise_on_error=False)

    def _may_try(self) -> bool:
        return self._reachable or monotonic() >= self._next_try

    async def _reach(self, run: Run, calls: list[Call]) -> list[Any]:
        """Make some calls unless Redis could not be reached a moment ago.

        Raises:
            UnreachableError: when it cannot be reached now.
        """
        if not self._may_try():
            raise UnreachableError
        self._next_try = monotonic() + PAUSE  # for others, while this one tries
        try:
            results = await self._in_time(run(calls))
        except (RedisError, OSError) as error:
            ERRORS.add()
            if self._reachable:
                logger.warning("Redis cannot be reached: %s", type(error).__name__)
            self._reachable, self._next_try = False, monotonic() + PAUSE
            raise UnreachableError from None
        if not self._reachable:
            logger.info("Redis can be reached again")
            self._reachable = True
        # One that Redis refuses, full as it may be, says nothing of the others.
        refused = [isinstance(result, RedisError) for result in results]
        ERRORS.add(number=sum(refused))
        return [
            UnreachableError() if no else result
            for no, result in zip(refused, results, strict=True)
        ]

    async def _in_time(self, answers: Coroutine[Any, Any, list[Any]]) -> list[Any]:
        task = asyncio.create_task(answers)
        done, _ = await asyncio.wait({task}, timeout=self._settings.timeout)
        if not done:  # or it was this process that had no time to look
            done, _ = await asyncio.wait({task}, timeout=0.01)
        if not done:
            task.cancel()
            raise TimeoutError
        return task.result()


def new_cache() -> Cache:
    """Return the service's cache; its limits come from the environment."""
    settings = CacheSettings()
    return Cache(RedisStore(settings), settings, *features())


def _encode(entry: Entry, fill: Fill) -> bytes:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in entry.headers]
    generations = [str(generation, "ascii") for generation in fill.generations]
    head = [entry.status, headers, entry.etag.decode("latin-1"), entry.made, entry.seconds]
    return to_json([*head, generations]) + b"\n" + entry.body


def _decode(kept: bytes) -> tuple[Entry, list[bytes]]:
    head, _, body = kept.partition(b"\n")
    status, headers, etag, made, seconds, generations = from_json(head)
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    entry = Entry(status, pairs, etag.encode("latin-1"), body, made, seconds)
    return entry, [generation.encode() for generation in generations]
