"""What the cache does for requests."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import Counter

from app.caching.cache import Cache
from app.observability.context import RequestContext
from app.observability.finished import finished_requests

REQUESTS = Counter("cache_requests", "Requests to cached routes.", ["route", "outcome"])
ERRORS = Counter("cache_errors", "Times that the cache could not be reached.")


@contextmanager
def counting(cache: Cache) -> Iterator[None]:
    """Count with each batch of requests what happened to them."""
    told = 0

    def count(_: Sequence[RequestContext]) -> None:
        nonlocal told
        for labels, number in cache.outcomes.items():
            REQUESTS.labels(*labels).inc(number)
        cache.outcomes.clear()
        ERRORS.inc(cache.store.errors - told)
        told = cache.store.errors

    finished_requests.listeners.append(count)
    try:
        yield
    finally:
        finished_requests.flush()
        finished_requests.listeners.remove(count)
