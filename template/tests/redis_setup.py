"""The Redis that the tests use: under a prefix of their own, which is empty before each."""

import os
from collections.abc import Iterator
from secrets import token_hex

import pytest
from redis import Redis, RedisError

from tests.waiting import HANG

PREFIX = f"test-{token_hex(8)}"  # of all keys of this run


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """TEST_REDIS_URL, or a database of the Redis that `scripts/redis.py` starts."""
    url = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/15")
    with Redis.from_url(url) as redis:
        try:
            redis.ping()
        except RedisError as error:
            pytest.exit(
                f"The test Redis does not answer ({error}): start it with scripts/redis.py"
                " or set TEST_REDIS_URL."
            )
        yield url
        _delete_keys(redis)


def _delete_keys(redis: Redis) -> None:
    for key in redis.scan_iter(f"{PREFIX}:*", count=1000):
        redis.delete(key)


@pytest.fixture(autouse=True)
def empty_redis(
    _no_settings_of_the_machine: None, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Have the service use the Redis of the tests, with nothing of its own in it."""
    with Redis.from_url(redis_url) as redis:
        _delete_keys(redis)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("CACHE_PREFIX", PREFIX)
    monkeypatch.setenv("CACHE_TIMEOUT", str(HANG))
