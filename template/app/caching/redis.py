"""Entries in Redis: all workers and hosts share them, and a write is seen by all at once.

Whatever goes wrong with Redis is a miss, quickly, and is counted. A write that it has not heard of
is told once it is back: what it changed is old for other workers until then, at most until its
time is up.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from time import monotonic
from typing import Any

from pydantic import Field, field_validator
from pydantic_core import from_json, to_json
from sqlalchemy import make_url

from app.caching.cache import Cache, features
from app.caching.connection import RedisConnection, UnreachableError
from app.caching.entries import Entry, Fill, Found
from app.caching.policies import EVERYTHING
from app.caching.settings import CacheSettings as CommonSettings
from app.database import DatabaseSettings
from app.redis_parameters import split_url

TAG_SECONDS = 86_400  # that a tag is remembered; an entry whose tag is forgotten is not used
TELL_AGAIN = 1.0  # seconds between two tries to tell what is owed
FILLED = b"f"  # a tag's generation begins with when a fill gave it, and no write
LEASE = 0.5  # seconds that a right lasts if it is not renewed, as by a worker that was killed
MAX_OWED = 100  # tags that are told once Redis is back; then all is stale

# Deletes a key only while it is the caller's: https://redis.io/docs/latest/commands/set
GIVE_BACK = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end"
RENEW = (
    "if redis.call('get', KEYS[1]) == ARGV[1]"
    " then return redis.call('pexpire', KEYS[1], ARGV[2]) end"
)


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


def new_generation() -> str:
    """Return what a write gives to a tag."""
    return f"w{token_hex(8)}"


def _prefix() -> str:
    """Name what the answers are made of: two deployments of the same code have two databases."""
    url = make_url(DatabaseSettings().url)
    words = repr((url.host, url.port, url.database)).encode()
    return f"cache-{blake2b(words, digest_size=8).hexdigest()}"


PREFIX = _prefix()


class CacheSettings(CommonSettings):
    """Where Redis is, and how long to wait for it."""

    url: str = Field(default="redis://127.0.0.1:6379/0", validation_alias="REDIS_URL")
    timeout: float = Field(default=0.1, gt=0, allow_inf_nan=False)  # seconds
    # Of all its keys: services that share a Redis need different ones. It is made of the
    # database's address and name: set it where processes of one service reach their database by
    # different addresses, or two services theirs by the same.
    prefix: str = PREFIX

    @field_validator("url")
    @classmethod
    def _is_of_redis(cls, url: str) -> str:
        if url.partition("://")[0] not in ("redis", "rediss", "unix"):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        split_url(url)
        return url


class RedisStore:
    """Keeps entries where all workers see them.

    Args:
        settings: where Redis is.
    """

    def __init__(self, settings: CacheSettings) -> None:
        self._settings = settings
        self.writes = 0
        self._redis = RedisConnection(settings.url, settings.timeout)
        # What another release of the code has made may look different.
        self._entries = f"{settings.prefix}:{RELEASE}:".encode()
        self._tags = f"{settings.prefix}:tag:"
        self._owed: set[str] = set()  # tags of writes that Redis has not heard of
        # Rights that it may have given, or not taken back, without an answer: name and token.
        self._unsure: set[tuple[bytes, bytes]] = set()
        self._renewing: dict[bytes, asyncio.TimerHandle] = {}  # by the right's token
        self._settling: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Close the connection at the end; it is opened when it is needed."""
        try:
            yield
        finally:
            if self._owed:
                self._redis.try_now()
                await self._settle()
            if self._telling is not None:
                self._telling.cancel()
            self._redis.close()
            await asyncio.sleep(0)  # what it cut off may have rights to give back
            while self._running:
                await asyncio.gather(*self._running, return_exceptions=True)
            self._redis.close()

    async def get(self, key: bytes, tags: Sequence[str]) -> Found:
        if not await self._may_read():
            return Found(None, ())
        return await self._found(self._look_up(key, tags), len(tags))

    async def _may_read(self) -> bool:
        if not (self._owed or self._unsure or self._settling):
            return True
        return self._redis.may_try("SET") and await self._settled()

    def _look_up(self, key: bytes, tags: Sequence[str], *more: bytes) -> asyncio.Future[Any]:
        names = (self._tags + tag for tag in tags)
        return self._redis.call("MGET", self._name(key), *names, *more)

    async def _found(self, answer: asyncio.Future[Any], tags: int) -> Found:
        try:
            kept, *generations = (await answer)[: 1 + tags]
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

    async def begin(self, key: bytes, tags: Sequence[str]) -> Fill:
        token = FILLED + token_hex(8).encode()
        if not await self._may_read():
            return Fill(Found(None, ()), token)
        lock = self._name(key) + b":lock"
        until = monotonic() + self._settings.fill_seconds
        milliseconds = _lease(until)
        call = self._redis.call("SET", lock, token, "NX", "GET", "PX", milliseconds)
        # Sent with the first, and answered after it: with the lock it is no other look-up's.
        looked_up = self._look_up(key, tags, lock)
        holder = None
        try:
            with suppress(UnreachableError):  # it may have been done all the same
                holder = await asyncio.shield(call)
            found = await self._found(looked_up, len(tags))
        except asyncio.CancelledError:
            call.add_done_callback(lambda _: self._start(self._give_back({(lock, token)})))
            raise
        if holder is not None:
            return Fill(found, holder, mine=False)
        self._renew_later(lock, token, until)
        return Fill(found, token)

    def _renew_later(self, lock: bytes, token: bytes, until: float) -> None:
        def renew() -> None:
            del self._renewing[token]
            if milliseconds := _lease(until):
                self._redis.call("EVAL", RENEW, 1, lock, token, milliseconds)
                self._renew_later(lock, token, until)

        self._renewing[token] = asyncio.get_running_loop().call_later(LEASE / 2, renew)

    async def end(self, key: bytes, tags: Sequence[str], fill: Fill, entry: Entry | None) -> None:
        name, lock = self._name(key), self._name(key) + b":lock"
        if timer := self._renewing.pop(fill.token, None):
            timer.cancel()
        calls: list[asyncio.Future[Any]] = []
        # Without its tags' generations nobody could use the entry.
        if entry is not None and (generations := await self._all_known(tags, fill)):
            kept, milliseconds = _encode(entry, generations), round(entry.seconds * 1000)
            calls.append(self._redis.call("SET", name, kept, "PX", milliseconds))
        calls.append(self._redis.call("EVAL", GIVE_BACK, 1, lock, fill.token))
        *_, given = await asyncio.gather(*calls, return_exceptions=True)
        if isinstance(given, UnreachableError):
            self._not_sure({(lock, fill.token)})

    async def _all_known(self, tags: Sequence[str], fill: Fill) -> Sequence[bytes] | None:
        """Return the generations of an entry's tags; what nobody has heard of gets one now.

        Returns:
            None, when Redis cannot be asked.
        """
        generations = fill.found.generations
        new = [tag for tag, known in zip(tags, generations, strict=False) if known is None]
        if not new:
            return generations or None
        calls = [
            self._redis.call("SET", self._tags + tag, fill.token, "NX", "GET", "EX", TAG_SECONDS)
            for tag in new
        ]
        try:
            given = dict(zip(new, await asyncio.gather(*calls), strict=True))
        except UnreachableError:
            return None

        def first(generation: bytes | None) -> bytes:
            # Of many that fill at once the first has given it one. After a write the entry is stale.
            return generation if generation and generation.startswith(FILLED) else fill.token

        return [known or first(given[tag]) for tag, known in zip(tags, generations, strict=True)]

    async def invalidate(self, tags: Sequence[str]) -> None:
        self.writes += 1
        # A task of its own: a request that is cancelled must not take it along.
        await asyncio.shield(self._start(self._tell(tags)))

    async def _tell(self, tags: Iterable[str]) -> None:
        generation = new_generation()
        calls = [
            self._redis.call("SET", self._tags + tag, generation, "EX", TAG_SECONDS) for tag in tags
        ]
        try:
            await asyncio.gather(*calls)
        except UnreachableError:
            with suppress(UnreachableError):  # one that is full refuses SET, and takes DEL
                await self._redis.call("DEL", *(self._tags + tag for tag in tags))
            self._owed.update(tags)
            if len(self._owed) > MAX_OWED:
                self._owed = {EVERYTHING}
            if self._telling is None or self._telling.done():
                self._telling = self._start(self._keep_telling())

    async def _keep_telling(self) -> None:
        while self._owed:
            await asyncio.sleep(TELL_AGAIN)
            await self._settled()

    async def _settled(self) -> bool:
        """Tell what is owed, before which nothing may be read; return whether all is told."""
        if self._settling is None:
            self._settling = self._start(self._settle())
        settling = self._settling
        await asyncio.shield(settling)
        if self._settling is settling:  # else the next has begun, and is waited for by itself
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
        calls = [self._redis.call("EVAL", GIVE_BACK, 1, lock, token) for lock, token in rights]
        try:
            await asyncio.gather(*calls)
        except UnreachableError:
            self._not_sure(rights)

    def _not_sure(self, rights: set[tuple[bytes, bytes]]) -> None:
        self._unsure |= rights
        if len(self._unsure) > MAX_OWED:  # they end by themselves
            self._unsure.clear()

    def _name(self, key: bytes) -> bytes:
        return self._entries + key.hex().encode()


def new_cache() -> Cache:
    """Return the service's cache; its limits come from the environment."""
    settings = CacheSettings()
    return Cache(RedisStore(settings), settings, *features())


def _lease(until: float) -> int:
    """Return the milliseconds that a right lasts, which ends at a time at the latest."""
    return max(0, round(min(LEASE, until - monotonic()) * 1000))


def _encode(entry: Entry, generations: Iterable[bytes]) -> bytes:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in entry.headers]
    head = [entry.status, headers, entry.etag.decode("latin-1"), entry.made, entry.seconds]
    return (
        to_json([*head, [str(generation, "ascii") for generation in generations]])
        + b"\n"
        + entry.body
    )


def _decode(kept: bytes) -> tuple[Entry, list[bytes]]:
    head, _, body = kept.partition(b"\n")
    status, headers, etag, made, seconds, generations = from_json(head)
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    entry = Entry(status, pairs, etag.encode("latin-1"), body, made, seconds)
    return entry, [generation.encode() for generation in generations]
