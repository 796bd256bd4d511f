"""The Redis that the tests use, empty before each."""

import os

import pytest
from redis import Redis, RedisError


@pytest.fixture(scope="session")
def redis_url() -> str:
    """TEST_REDIS_URL, or a database of the Redis that `scripts/redis.py` starts."""
    url = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/15")
    with Redis.from_url(url) as redis:
        if not redis.get_connection_kwargs().get("db"):
            pytest.exit("TEST_REDIS_URL must name another database than 0: it is emptied.")
        try:
            redis.ping()
        except RedisError as error:
            pytest.exit(
                f"The test Redis does not answer ({error}): start it with scripts/redis.py"
                " or set TEST_REDIS_URL."
            )
    return url


@pytest.fixture(autouse=True)
def empty_redis(
    _no_settings_of_the_machine: None, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Have the service use the Redis of the tests, with nothing in it."""
    with Redis.from_url(redis_url) as redis:
        redis.flushdb()
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("CACHE_TIMEOUT", "5")  # seconds: tests may run on a busy machine
