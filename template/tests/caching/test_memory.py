"""The limits of a cache in memory."""

import logging
import sys
from time import time

import pytest

from app.caching import memory
from app.caching.entries import Entry
from app.caching.memory import HEADER, MAX_TAGS, OVERHEAD, CacheSettings, MemoryStore


def entry(size: int) -> Entry:
    return Entry(200, [], b'"1"', b"x" * size, time(), 60)


async def keep(store: MemoryStore, key: bytes, tags: list[str], size: int = 100) -> None:
    fill = await store.begin(key, tags)
    await store.end(key, tags, fill, entry(size))


async def kept(store: MemoryStore, key: bytes, *tags: str) -> bool:
    return (await store.get(key, tags)).entry is not None


async def test_all_entries_together_have_a_limit() -> None:
    store = MemoryStore(CacheSettings(max_bytes=10 * (OVERHEAD + 100)))

    for number in range(10):
        await keep(store, b"%d" % number, [])
    assert await kept(store, b"0")  # asked for just now, so it stays
    await keep(store, b"new", [])

    assert await kept(store, b"0")
    assert not await kept(store, b"1")
    assert await kept(store, b"new")


async def test_what_is_larger_than_that_is_not_kept() -> None:
    store = MemoryStore(CacheSettings(max_bytes=OVERHEAD))

    await keep(store, b"large", [], size=1)

    assert not await kept(store, b"large")


async def test_tags_that_changed_are_not_remembered_for_ever() -> None:
    store = MemoryStore(CacheSettings())
    await keep(store, b"old", ["old"])

    await store.invalidate([f"thing:{number}" for number in range(MAX_TAGS + 1)])

    assert len(store._changed) == 0
    assert not await kept(store, b"old", "old")  # for all it knows
    await keep(store, b"new", ["new"])
    assert await kept(store, b"new", "new")


@pytest.mark.parametrize(
    ("workers", "is_child", "command", "told"),
    [
        ("1", False, "uvicorn app.main:app", 0),
        ("2", False, "uvicorn app.main:app", 1),
        ("1", True, "uvicorn app.main:app --workers 2", 1),
        ("1", True, "uvicorn app.main:app --reload", 0),
        ("1", True, "fastapi dev", 0),
    ],
)
async def test_with_other_workers_it_says_what_that_means(
    workers: str, is_child: bool, command: str, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setenv("WEB_CONCURRENCY", workers)
        patch.setattr(memory, "parent_process", lambda: is_child or None)
        patch.setattr(sys, "argv", command.split())
        async with MemoryStore(CacheSettings()).opened():
            pass

    assert len(caplog.records) == told


async def test_an_older_fill_does_not_take_a_newer_entrys_place() -> None:
    store = MemoryStore(CacheSettings())
    older = await store.begin(b"key", ["tea"])
    await store.invalidate(["tea"])
    await keep(store, b"key", ["tea"])

    await store.end(b"key", ["tea"], older, entry(1))

    assert await kept(store, b"key", "tea")


async def test_headers_are_counted() -> None:
    store = MemoryStore(CacheSettings(max_bytes=2 * (OVERHEAD + 10 * HEADER)))
    many = Entry(200, [(b"x-%d" % n, b"") for n in range(10)], b'"1"', b"", time(), 60)

    for key in (b"1", b"2"):
        await store.end(key, [], await store.begin(key, []), many)

    assert await kept(store, b"2")
    assert not (await kept(store, b"1") and await kept(store, b"2"))
