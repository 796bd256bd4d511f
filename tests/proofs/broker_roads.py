"""Reaches a project's cache and broker by the URLs that it reads as JSON; prints what came of it."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path.cwd()))

from celery import Celery

from app.database import DatabaseSettings
from app.database.sync import SyncDatabase
from app.jobs.kinds import QUEUES
from app.jobs.settings import TaskSettings
from app.tasks.broker import Sender, new_celery

with suppress(ImportError):
    from redis import Redis

    from app.caching.connection import RedisConnection
    from app.caching.redis import CacheSettings
    from app.tasks.parts import caching

    ORIGINAL = Redis.from_url

TIMEOUT = 3.0


class Runner:
    """As much of a runner as a part of it needs."""

    def __init__(self) -> None:
        self.parts = ExitStack()
        self.database = SyncDatabase(DatabaseSettings(), connections=1, statement_timeout=5)


def broker(url: str) -> dict[str, Callable[[], Any]]:
    """Return how a broker is reached, by the road's name."""
    settings = TaskSettings(broker_url=url, publish_timeout=TIMEOUT)
    celery: Celery = new_celery(settings)

    def publish() -> None:
        Sender(celery, settings).send(1, QUEUES[0])

    def consume() -> None:
        with celery.connection_for_read(connect_timeout=TIMEOUT) as connection:
            connection.connect()
            connection.channel()

    return {"publish": publish, "consume": consume}


def cache(url: str) -> dict[str, Callable[[], Any]]:
    """Return how the cache is reached, by the road's name."""
    settings = CacheSettings(url=url)

    async def ping() -> None:
        connection = RedisConnection(settings.url, TIMEOUT)
        pool = connection._pool.make_connection()
        await asyncio.wait_for(pool.connect(), TIMEOUT)
        await pool.disconnect()
        assert await connection.call("PING") == b"PONG"
        connection.close()

    def in_jobs() -> None:
        made: list[Redis] = []
        caching.Redis.from_url = lambda *args, **more: (
            made.append(ORIGINAL(*args, **more)) or made[0]
        )
        os.environ["REDIS_URL"] = url
        caching.attach(Runner())
        made[0].connection_pool.make_connection().connect()

    return {"cache": lambda: asyncio.run(ping()), "jobs": in_jobs}


def main() -> None:
    """Try all URLs."""
    kind = sys.argv[1]
    module = import_module("app.redis_parameters" if kind == "redis" else "app.tasks.broker_amqp")
    results: list[Any] = [list(module.TABLE)]
    for url in json.load(sys.stdin):
        found = {}
        for prepare in (broker, cache) if kind == "redis" else (broker,):
            try:
                roads = prepare(url)
            except ValueError as error:
                found[prepare.__name__] = f"refused: {error}"
                continue
            for name, road in roads.items():
                try:
                    road()
                    found[name] = "well"
                except Exception as error:
                    found[name] = f"{type(error).__name__}: {error}"
        results.append(found)
    print(json.dumps(results))


main()
