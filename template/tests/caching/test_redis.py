"""What Redis adds: other workers, and all that can go wrong with it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from time import monotonic, time

import pytest
from redis.asyncio import ConnectionPool, Redis
from sqlalchemy import make_url

from app.caching import connection, redis
from app.caching.connection import DRIVER
from app.caching.entries import ERRORS, Entry, Fill, Found
from app.caching.redis import CacheSettings, RedisStore
from app.database import DatabaseSettings
from tests.caching.conftest import Service
from tests.caching.test_layer import MINUTE, slow
from tests.redis_setup import PREFIX
from tests.waiting import HANG, until

TAGS = ["*", "tea"]


@pytest.fixture
async def stores(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[RedisStore]]:
    """Two workers' stores. A right that is not given back lasts: no test waits for its end."""
    monkeypatch.setattr(redis, "LEASE", 2 * HANG)
    async with AsyncExitStack() as stack:
        settings = CacheSettings(url=redis_url, fill_seconds=4 * HANG, timeout=HANG)
        stores = [RedisStore(settings) for _ in range(2)]
        for store in stores:
            await stack.enter_async_context(store.opened())
        yield stores


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Times that Redis could not be reached, as `total()`."""
    errors: Counter[str] = Counter()
    monkeypatch.setattr(ERRORS, "add", lambda number=1: errors.update({"error": number}))
    return errors


@contextmanager
def without_redis(store: RedisStore) -> Iterator[None]:
    """Cut a worker off from Redis."""
    there = store._redis._pool
    store._redis._pool = ConnectionPool.from_url("redis://127.0.0.1:1/0", driver_info=DRIVER)
    store._redis.close()
    yield
    store._redis._pool = there


@contextmanager
def refused(store: RedisStore, word: str) -> Iterator[None]:
    """Have Redis refuse a worker's commands of one kind: they become one that it does not know."""
    call = store._redis.call
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            store._redis, "call", lambda *words: call(*(["NO"] if words[0] == word else []), *words)
        )
        yield


def entry(body: bytes = b"tea", seconds: float = 60) -> Entry:
    headers = [(b"content-type", b"text/plain; charset=latin-1"), (b"x-name", b"\xe9")]
    return Entry(200, headers, b'"1"', body, time(), seconds)


async def begin(store: RedisStore, key: bytes = b"key") -> Fill | None:
    """Return the right to fill, None when another has it."""
    fill = await store.begin(key, TAGS)
    return fill if fill.mine else None


async def begin_soon(store: RedisStore) -> Fill:
    """Return the right to fill once no other has it."""
    async with asyncio.timeout(HANG):
        while (right := await begin(store)) is None:
            continue
    return right


async def fill(store: RedisStore, made: Entry) -> None:
    right = await begin(store)
    assert right
    await store.end(b"key", TAGS, right, made)


async def test_one_worker_gets_what_another_has_made(stores: list[RedisStore]) -> None:
    made = entry(b"line\nline\x00\xff")

    await fill(stores[0], made)

    assert (await stores[1].get(b"key", TAGS)).entry == made
    assert (await stores[1].get(b"other", TAGS)).entry is None


async def test_an_entry_ends_in_redis_too(stores: list[RedisStore]) -> None:
    await fill(stores[0], entry(seconds=0.1))
    await asyncio.sleep(0.15)

    assert (await stores[0].get(b"key", TAGS)).entry is None


async def test_a_write_is_seen_by_every_worker(stores: list[RedisStore]) -> None:
    await fill(stores[0], entry())

    await stores[1].invalidate(["tea"])
    found = await stores[0].get(b"key", TAGS)

    assert found.entry is None
    assert found.stale


async def test_a_write_beats_another_workers_fill(stores: list[RedisStore]) -> None:
    for _ in range(2):  # the first time nobody has heard of the tags
        right = await begin(stores[0])
        assert right
        await stores[1].invalidate(["tea"])
        await stores[0].end(b"key", TAGS, right, entry())

        assert (await stores[1].get(b"key", TAGS)).entry is None


async def test_one_worker_at_a_time_fills(stores: list[RedisStore]) -> None:
    first = await begin(stores[0])

    assert first
    assert await begin(stores[1]) is None
    assert await begin(stores[1], b"another key")
    await stores[0].end(b"key", TAGS, first, None)
    assert await begin(stores[1])


async def test_who_has_waited_for_another_worker_looks_again(
    stores: list[RedisStore], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = stores
    rights: list[Fill] = []
    ask = store.begin

    async def just_after_the_other(key: bytes, tags: list[str]) -> Fill:
        if not rights:
            rights.append(await other.begin(key, tags))
            return await ask(key, tags)
        await other.end(key, tags, rights[0], entry())
        rights.append(await ask(key, tags))
        return rights[1]

    monkeypatch.setattr(store, "begin", just_after_the_other)
    service.store = store
    answer = await service.serve(thing=MINUTE).get("/thing")

    assert answer.content == b"tea"
    assert not service.runs["thing"]
    assert [right.mine for right in rights] == [True, True]
    assert await begin(other)  # it was given back


async def test_nobody_waits_for_one_worker_after_another(
    stores: list[RedisStore], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What turns out not to be kept is made by all, not by each in its turn."""
    store, other = stores
    rights: list[Fill] = []
    ask = store.begin

    async def as_the_next_begins(key: bytes, tags: list[str]) -> Fill:
        if rights:
            await other.end(key, tags, rights[-1], None)
        rights.append(await other.begin(key, tags))
        return await ask(key, tags)

    monkeypatch.setattr(store, "begin", as_the_next_begins)
    service.store = store
    answer = await service.serve(CacheSettings(fill_seconds=1), thing=MINUTE).get("/thing")

    assert answer.content == b"1"
    assert [right.mine for right in rights] == [True, True]


async def test_what_another_worker_made_between_look_up_and_right_is_taken(
    stores: list[RedisStore], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = stores
    look_up = store.get

    async def then_the_other_makes_it(key: bytes, tags: list[str]) -> Found:
        found = await look_up(key, tags)
        await other.end(key, tags, await other.begin(key, tags), entry())
        return found

    monkeypatch.setattr(store, "get", then_the_other_makes_it)
    service.store = store
    answer = await service.serve(thing=MINUTE).get("/thing")

    assert answer.content == b"tea"
    assert not service.runs["thing"]
    assert await begin(other)  # the right was given back


async def test_what_is_made_next_to_another_is_kept_too(stores: list[RedisStore]) -> None:
    """Two make entries with tags that nobody had heard of: both have what the first gave them."""
    store, other = stores
    first = await begin(store)
    assert first
    assert await begin(other) is None
    await store.end(b"key", TAGS, first, entry())
    await store.invalidate(["tea"])

    second = await begin(other)
    assert second
    await other.end(b"key", TAGS, second, entry(b"new"))

    found = await store.get(b"key", TAGS)
    assert found.entry
    assert found.entry.body == b"new"


async def test_entries_made_at_once_are_all_kept(stores: list[RedisStore]) -> None:
    """Each finds tags that nobody had heard of: all have what the first gave them."""
    keys = [b"%d" % number for number in range(10)]
    rights = [await stores[number % 2].begin(key, TAGS) for number, key in enumerate(keys)]
    for key, right in zip(keys, rights, strict=True):
        await stores[0].end(key, TAGS, right, entry())

    assert all([(await stores[1].get(key, TAGS)).entry for key in keys])


async def test_a_write_is_told_as_the_service_stops(
    stores: list[RedisStore], redis_url: str
) -> None:
    await fill(stores[0], entry())
    store = RedisStore(CacheSettings(url=redis_url, timeout=HANG))

    async with store.opened():
        with without_redis(store):
            await store.invalidate(["tea"])

    assert (await stores[0].get(b"key", TAGS)).stale


def test_the_keys_of_a_service_name_its_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two deployments of the same code may share a Redis."""
    ours = redis._prefix()
    url = make_url(DatabaseSettings().url).set(database="another")
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))

    assert redis._prefix() != ours


async def test_a_right_that_is_too_old_is_lost_and_gives_nothing_back(
    stores: list[RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        impatient = stores[0]._settings.model_copy(update={"fill_seconds": 0.2})
        patch.setattr(stores[0], "_settings", impatient)
        old = await begin(stores[0])
    await begin_soon(stores[1])

    assert old
    await stores[0].end(b"key", TAGS, old, None)

    assert await begin(stores[0]) is None  # it is still the other's


async def test_who_leaves_while_asking_gives_the_right_back(stores: list[RedisStore]) -> None:
    asking = asyncio.create_task(stores[0].begin(b"key", TAGS))
    await asyncio.sleep(0)
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    await stores[0]._redis.call("PING")  # answered after what was asked before

    await begin_soon(stores[1])


async def test_a_write_whose_client_leaves_is_told(
    stores: list[RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PAUSE", 0.05)
    await fill(stores[0], entry())
    with without_redis(stores[1]):
        telling = asyncio.create_task(stores[1].invalidate(["tea"]))
        await asyncio.sleep(0)
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
        await until(lambda: stores[1]._owed)
    await until(lambda: stores[1]._redis.may_try("SET"))
    await stores[1].get(b"any", TAGS)

    assert (await stores[0].get(b"key", TAGS)).stale


async def test_nobody_reads_before_a_write_is_told_that_redis_refused(
    stores: list[RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PAUSE", 0)  # it is asked, and refuses, each time
    await fill(stores[0], entry())
    with refused(stores[0], "SET"), refused(stores[0], "DEL"):
        await stores[0].invalidate(["tea"])

        async def look_up() -> list[Entry | None]:
            found = []
            for _ in range(20):
                found.append((await stores[0].get(b"key", TAGS)).entry)
                found.append((await stores[0].begin(b"key", TAGS)).found.entry)
            return found

        for entries in await asyncio.gather(*(look_up() for _ in range(10))):
            assert {*entries} == {None}


async def test_who_leaves_with_a_right_gives_it_back(
    stores: list[RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    looking_up = asyncio.Event()

    async def take_long(*_: object) -> Found:
        looking_up.set()
        await asyncio.sleep(60)
        raise AssertionError

    monkeypatch.setattr(stores[0], "_found", take_long)
    asking = asyncio.create_task(stores[0].begin(b"key", TAGS))
    await looking_up.wait()
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    await stores[0]._redis.call("PING")  # answered after what was asked before

    await begin_soon(stores[1])


async def test_without_redis_nobody_waits_for_what_began_before_a_write(service: Service) -> None:
    it = await slow(service)
    service.store = RedisStore(CacheSettings(url="redis://127.0.0.1:1/0"))
    client = service.serve(slow=MINUTE)
    early = asyncio.create_task(client.get("/slow"))
    await it.begun.wait()

    await service.store.invalidate(["slow"])
    late = await client.get("/slow")
    it.may_end.set()

    assert service.waits == 0
    assert late.content == b"2"
    assert (await early).content == b"1"


async def test_a_command_that_redis_refuses_takes_nothing_with_it(
    stores: list[RedisStore], errors: Counter[str]
) -> None:
    await fill(stores[0], entry())
    with refused(stores[0], "SET"):
        await stores[0].invalidate(["other"])
        assert errors.total() == 1
        assert stores[0]._redis.may_try()
        assert (await stores[1].get(b"key", TAGS)).entry  # hits go on


async def test_a_closed_store_leaves_no_task(redis_url: str) -> None:
    store = RedisStore(CacheSettings(url=redis_url))
    others = asyncio.all_tasks()
    async with store.opened():
        filling = asyncio.create_task(store.begin(b"key", TAGS))
        await asyncio.sleep(0)
        filling.cancel()
        with suppress(asyncio.CancelledError):
            await filling

    assert asyncio.all_tasks() == others


async def test_an_entry_of_another_release_is_not_read(
    stores: list[RedisStore], redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(stores[0], entry())
    monkeypatch.setattr(redis, "RELEASE", "another")

    other = RedisStore(CacheSettings(url=redis_url))
    async with other.opened():
        assert (await other.get(b"key", TAGS)).entry is None
        await other.invalidate(["tea"])
    assert (await stores[0].get(b"key", TAGS)).stale  # but its writes are seen


async def test_what_is_no_entry_is_a_miss(stores: list[RedisStore], redis_url: str) -> None:
    await fill(stores[0], entry())
    async with Redis.from_url(redis_url) as client:
        (name,) = await client.keys(f"{PREFIX}:*:[0-9a-f]*[0-9a-f]")
        for value in ("", "{}", "[]\nx", "[1,2,3,4,5,6]"):
            await client.set(name, value)
            assert (await stores[0].get(b"key", TAGS)).entry is None


async def test_all_keys_end_by_themselves(stores: list[RedisStore], redis_url: str) -> None:
    await fill(stores[0], entry())
    await stores[0].invalidate(["tea"])
    await begin(stores[0])

    async with Redis.from_url(redis_url) as client:
        keys = await client.keys(f"{PREFIX}:*")
        assert len(keys) == 4  # the entry, two tags and a lock
        assert all([await client.pttl(key) > 0 for key in keys])


async def test_a_miss_of_something_that_is_not_there_leaves_nothing(
    stores: list[RedisStore], redis_url: str
) -> None:
    right = await begin(stores[0])
    assert right
    await stores[0].end(b"key", TAGS, right, None)

    async with Redis.from_url(redis_url) as client:
        assert await client.keys(f"{PREFIX}:*") == []


async def test_without_redis_all_is_a_miss_and_quickly(
    errors: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PAUSE", 60)
    store = RedisStore(CacheSettings(url="redis://127.0.0.1:1/0"))

    for _ in range(100):
        right = await store.begin(b"key", TAGS)
        assert (await store.get(b"key", TAGS)).entry is None
        assert right
        await store.end(b"key", TAGS, right, entry())
        await store.invalidate(["tea"])

    assert errors.total() == 1


async def test_a_silent_redis_is_waited_for_once(
    service: Service, errors: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PAUSE", 60)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = RedisStore(CacheSettings(url=f"redis://127.0.0.1:{port}/0", timeout=0.1))
    service.store = store
    client = service.serve(thing=MINUTE)

    # It does not wait for as long as redis-py would.
    store._redis._pool.connection_kwargs["socket_connect_timeout"] = 2 * HANG
    store._redis._pool.connection_kwargs["socket_timeout"] = 2 * HANG
    async with asyncio.timeout(HANG), store.opened():
        answers = [await client.get("/thing") for _ in range(20)]

    assert [answer.status_code for answer in answers] == [200] * 20
    assert errors.total() == 1
    server.close()


async def test_without_redis_misses_at_once_are_still_one(service: Service) -> None:
    it = await slow(service, run=2)
    service.store = RedisStore(CacheSettings(url="redis://127.0.0.1:1/0"))
    client = service.serve(slow=MINUTE)
    await client.get("/slow")  # finds out

    asking = [asyncio.create_task(client.get("/slow")) for _ in range(20)]
    await until(lambda: service.runs["slow"] + service.waits == 1 + 20)
    it.may_end.set()
    answers = await asyncio.gather(*asking)

    assert {answer.content for answer in answers} == {b"2"}


async def test_a_write_without_redis_is_told_once_it_is_back(
    stores: list[RedisStore],
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    errors: Counter[str],
) -> None:
    monkeypatch.setattr(connection, "PAUSE", 0.05)
    await fill(stores[0], entry())

    with without_redis(stores[1]):
        await stores[1].invalidate(["tea"])
        assert errors.total() == 1
    await until(lambda: stores[1]._redis.may_try("SET"))
    await stores[1].get(b"any", TAGS)

    assert (await stores[0].get(b"key", TAGS)).stale


async def test_a_write_without_redis_is_told_even_when_nobody_asks(
    stores: list[RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PAUSE", 0.05)
    monkeypatch.setattr(redis, "TELL_AGAIN", 0.05)
    await fill(stores[0], entry())

    with without_redis(stores[1]):
        await stores[1].invalidate(["tea"])
        assert not (await stores[0].get(b"key", TAGS)).stale

    async with asyncio.timeout(HANG):
        while not (await stores[0].get(b"key", TAGS)).stale:
            continue


async def test_a_right_that_redis_gave_unheard_is_given_back(
    stores: list[RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PAUSE", 0.05)
    store, other = stores
    for lost in ("begin", "end"):
        await store.get(b"key", TAGS)
        if lost == "end":
            right = await store.begin(b"key", TAGS)
        # It does what it is told, and nobody hears of that.
        with without_redis(store):
            if lost == "begin":
                right = await store.begin(b"key", TAGS)
                lock = store._name(b"key") + b":lock"
                await other._redis.call("SET", lock, right.token)
            await store.end(b"key", TAGS, right, None)
        assert await begin(other) is None
        await until(lambda: store._redis.may_try("SET"))

        await store.get(b"any", TAGS)

        now = await begin(other)
        assert now
        await other.end(b"key", TAGS, now, None)


async def test_hits_come_back_by_themselves(
    stores: list[RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PAUSE", HANG)
    await fill(stores[0], entry())
    with without_redis(stores[0]):
        assert (await stores[0].get(b"key", TAGS)).entry is None
    assert (await stores[0].get(b"key", TAGS)).entry is None  # it is left alone

    monkeypatch.setattr(connection, "monotonic", lambda: monotonic() + HANG)

    assert (await stores[0].get(b"key", TAGS)).entry
    assert (await stores[0].get(b"key", TAGS)).entry


async def test_what_cannot_be_told_is_deleted(stores: list[RedisStore]) -> None:
    """A Redis that is full refuses SET, and takes DEL."""
    await fill(stores[0], entry())

    with refused(stores[1], "SET"):
        await stores[1].invalidate(["tea"])

    assert (await stores[0].get(b"key", TAGS)).stale


async def test_who_was_refused_does_not_ask_again_at_once(
    stores: list[RedisStore], errors: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PAUSE", HANG)
    with refused(stores[0], "SET"):
        await stores[0].invalidate(["tea"])
        for _ in range(20):
            await stores[0].get(b"key", TAGS)
            await stores[0].invalidate(["tea"])

    assert errors.total() == 1


async def test_a_right_is_renewed_while_its_owner_works(
    stores: list[RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = await begin(stores[0])
    assert right
    lock = stores[0]._name(b"key") + b":lock"
    renewing = stores[0]._renewing[right.token]
    await stores[0]._redis.call("PEXPIRE", lock, round(HANG * 1000))  # its lease is half over

    renewing._run()  # as the event loop does at that time
    left = await stores[0]._redis.call("PTTL", lock)

    assert left > HANG * 1000
    assert stores[0]._renewing[right.token] is not renewing  # it goes on
    assert await begin(stores[1]) is None
    await stores[0].end(b"key", TAGS, right, None)
    assert not stores[0]._renewing
    assert await begin(stores[1])


async def test_the_right_of_a_worker_that_was_killed_is_soon_anothers(
    stores: list[RedisStore],
) -> None:
    right = await begin(stores[0])
    assert right
    stores[0]._renewing.pop(right.token).cancel()  # as if it had been killed

    left = await stores[1]._redis.call("PTTL", stores[0]._name(b"key") + b":lock")

    assert 0 < left <= redis.LEASE * 1000
