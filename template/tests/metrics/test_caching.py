"""What the metrics say of the cache."""

from prometheus_client import REGISTRY

from app.caching.cache import Cache
from app.caching.settings import CacheSettings
from app.metrics.caching import counting
from app.observability.context import RequestContext
from app.observability.finished import finished_requests


class Store:
    """A store of which only the errors matter."""

    errors = 0


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_outcomes_and_errors_are_counted_once() -> None:
    store = Store()
    cache = Cache(store, CacheSettings())  # type: ignore[arg-type]
    labels = {"route": "/thing", "outcome": "hit"}
    before = counted("cache_requests_total", **labels), counted("cache_errors_total")

    with counting(cache):
        for _ in range(2):
            cache.outcomes["/thing", "hit"] += 3
            store.errors += 1
            finished_requests.add(RequestContext("r-1", {"method": "GET", "path": "/thing"}))
            finished_requests.flush()
        finished_requests.add(RequestContext("r-1", {"method": "GET", "path": "/thing"}))
        cache.outcomes["/thing", "hit"] += 1

    assert counted("cache_requests_total", **labels) - before[0] == 7
    assert counted("cache_errors_total") - before[1] == 2
