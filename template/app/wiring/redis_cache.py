"""The cache: it answers before all that stands further in."""

from fastapi import FastAPI

from app.caching.layer import ResponseCache
from app.caching.redis import new_cache
from app.wiring import Companions


def add_redis_cache(app: FastAPI, companions: Companions) -> None:
    """Keep answers in Redis."""
    cache = new_cache()
    companions.append(cache.watching)
    app.add_middleware(ResponseCache, cache=cache)
