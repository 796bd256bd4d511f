"""What is measured, and `/metrics`, where Prometheus reads it.

Labels take few values: a route is its template, a path that no route knows and a method
that HTTP does not are folded, so that a client cannot make the number of series grow.
"""

import asyncio
from bisect import bisect_left
from collections import Counter as Counts
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter

from anyio import to_thread
from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram

from app.database import Database
from app.database.recorder import Recorder
from app.errors import ProblemError
from app.metrics.exposition import exposition
from app.metrics.files import leave
from app.metrics.processes import count_collections
from app.metrics.settings import MetricsSettings
from app.observability.context import FinishedRequest
from app.observability.counts import Count, all_counts
from app.observability.finished import finished_requests

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Seconds: a good answer takes a few milliseconds, a bad one runs into the deadline.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SAMPLES = 0.1  # seconds between two looks at the event loop
WINDOW = 10.0  # seconds that the worst of them is remembered


class BatchHistogram(Histogram):
    """Takes many values at once: each alone would write to two numbers shared with other processes.

    The names are prometheus_client's own; a test compares this with `observe`.
    """

    def observe_all(self, values: Sequence[float]) -> None:
        """Do what `observe` does with each."""
        self._sum.inc(sum(values))
        buckets = Counts(bisect_left(self._upper_bounds, value) for value in values)
        for bucket, number in buckets.items():
            self._buckets[bucket].inc(number)


REQUESTS = BatchHistogram(
    "http_request_duration_seconds",
    "Time from a request's arrival to the end of its answer.",
    ["method", "route", "status"],
    buckets=BUCKETS,
)
STATEMENTS = Counter("database_statements", "Statements of the database.")
STATEMENT_SECONDS = Counter("database_statement_seconds", "Time of the database's statements.")
IN_USE = Gauge(
    "database_connections_in_use",
    "Connections that a request has now.",
    ["road"],
    multiprocess_mode="livesum",
)
LIMIT = Gauge(
    "database_connections_limit",
    "Connections that requests may have at once.",
    ["road"],
    multiprocess_mode="livesum",
)
WAITING = Gauge(
    "database_requests_waiting",
    "Requests that wait for a connection.",
    ["road"],
    multiprocess_mode="livesum",
)
LAG = Gauge(
    "event_loop_lag_seconds",
    f"The longest that a ready task waited for its turn in the last {WINDOW:g} seconds.",
    multiprocess_mode="livemax",
)

_Key = tuple[str, str | None, int]  # method, route, status

_series: dict[_Key, BatchHistogram] = {}
_counters: dict[Count, Counter] = {}


def count_requests(requests: Sequence[FinishedRequest]) -> None:
    """Count requests that were answered."""
    seconds: defaultdict[_Key, list[float]] = defaultdict(list)
    for request in requests:
        seconds[request.method, request.route, request.status].append(request.seconds)
    for key, values in seconds.items():
        series = _series.get(key)
        if series is None:
            method, route, status = key
            method = method if method in METHODS else "OTHER"
            series = REQUESTS.labels(method, route or "unknown", str(status))
            if method != "OTHER":  # what a client makes up must not fill the memory
                _series[key] = series
        series.observe_all(values)


@asynccontextmanager
async def watch(database: Database) -> AsyncIterator[None]:
    """Count requests and statements, and keep the gauges up to date."""
    statements = _Statements(database.recorder)
    finished_requests.listeners.append(count_requests)
    sampling = asyncio.create_task(_sample(database, statements))
    try:
        yield
    finally:
        sampling.cancel()
        finished_requests.listeners.remove(count_requests)
        statements.count_up()
        take_counts()
        leave()


def take_counts() -> None:
    """Take over what parts of the service have counted since the last time."""
    count_collections()
    for count in all_counts:
        counter = _counters.get(count)
        if counter is None:
            counter = _counters[count] = Counter(count.name, count.text, count.labels)
        for values, number in count.take_new().items():
            (counter.labels(*values) if values else counter).inc(number)


class _Statements:
    """Takes over what the recorder has counted since the last time."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._told = (recorder.statements, recorder.seconds)

    def count_up(self) -> None:
        number, seconds = self._told
        self._told = (self._recorder.statements, self._recorder.seconds)
        STATEMENTS.inc(self._told[0] - number)
        STATEMENT_SECONDS.inc(self._told[1] - seconds)


async def _sample(database: Database, statements: _Statements) -> None:
    worst, previous = 0.0, 0.0
    renewed = perf_counter()
    while True:
        asked = perf_counter()
        await asyncio.sleep(SAMPLES)
        now = perf_counter()
        worst = max(worst, now - asked - SAMPLES)
        LAG.set(max(worst, previous))
        if now - renewed > WINDOW / 2:
            worst, previous, renewed = 0.0, worst, now
        statements.count_up()
        take_counts()
        for road, gate in (("read", database.reads.gate), ("write", database.writes.gate)):
            IN_USE.labels(road).set(gate.size - gate.free)
            LIMIT.labels(road).set(gate.size)
            WAITING.labels(road).set(gate.waiting)


def add_metrics(app: FastAPI) -> None:
    """Serve `/metrics`."""
    settings = MetricsSettings()

    @app.get("/metrics", include_in_schema=False)
    async def read_metrics(request: Request) -> Response:
        if not settings.allow(request.headers.get("authorization", "")):
            challenge = {"WWW-Authenticate": "Bearer"}
            raise ProblemError(401, "The token is missing or wrong.", headers=challenge)
        finished_requests.flush()
        take_counts()
        # In a thread: with many routes and workers it takes some milliseconds.
        return Response(await to_thread.run_sync(exposition), media_type=CONTENT_TYPE_LATEST)
