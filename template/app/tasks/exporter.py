"""What workers measure, and the port on which a worker's main process tells it."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import bindparam, case, func, select
from sqlalchemy.exc import SQLAlchemyError

from app.database import Query, UTCDateTime
from app.database.sync import SyncDatabase
from app.jobs.models import RUNNING, WAITING, Job, now
from app.jobs.runner import Attempt
from app.metrics.exposition import exposition
from app.metrics.settings import MetricsSettings

logger = logging.getLogger(__name__)

IDLE = 5.0  # seconds after which a client that sends nothing loses its connection, and its thread

ATTEMPTS = Histogram(
    "job_attempt_seconds",
    "Time of an attempt at a job.",
    ["kind", "outcome"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0),
)
WAITS = Histogram(
    "job_wait_seconds",
    "Time from the making of a job to its first attempt.",
    ["kind"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0),
)

# Only jobs that are not finished: an index leads to them, however many there were.
_waiting = Job.state == WAITING
_lost = Job.lease_until < bindparam("moment", type_=UTCDateTime)  # its worker, and nobody has seen
QUEUE = Query(
    select(
        func.count(case((_waiting, 1))).label("waiting"),
        func.count(case((_waiting, None), else_=1)).label("running"),
        func.min(case((_waiting, Job.run_at), (_lost, Job.lease_until))).label("oldest"),
    ).where(Job.state.in_((WAITING, RUNNING)))
)


def observe(attempt: Attempt) -> None:
    """Take note of an attempt: a listener of the runner."""
    ATTEMPTS.labels(attempt.kind, attempt.outcome).observe(attempt.seconds)
    if attempt.waited is not None:
        WAITS.labels(attempt.kind).observe(max(attempt.waited, 0.0))


class QueueCollector(Collector):
    """Asks the table when it is asked; no connection is kept, as processes are forked meanwhile.

    Args:
        database: of the main process.
    """

    def __init__(self, database: SyncDatabase) -> None:
        self._database = database

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the gauges, none when the database does not answer."""
        try:
            (row,) = self._database.read(QUEUE, moment=now())
        except SQLAlchemyError:
            logger.warning("the number of jobs cannot be read", exc_info=True)
            return
        finally:
            self._database.close()
        age = max(now() - row["oldest"], timedelta()) if row["oldest"] else timedelta()
        for name, text, value in (
            ("jobs_waiting", "Jobs that wait.", row["waiting"]),
            ("jobs_running", "Jobs that run.", row["running"]),
            ("jobs_oldest_seconds", "For how long the oldest job waits.", age.total_seconds()),
        ):
            yield GaugeMetricFamily(name, text, value=value)


def serve(port: int, database: SyncDatabase) -> ThreadingHTTPServer:
    """Serve the metrics of all processes of this worker from now on."""
    registry = CollectorRegistry()
    registry.register(QueueCollector(database))
    settings = MetricsSettings()

    class Handler(BaseHTTPRequestHandler):
        timeout = IDLE

        def do_GET(self) -> None:
            if self.path != "/metrics":
                self.send_error(404)
                return
            if not settings.allow(self.headers.get("authorization", "")):
                self.send_response(401)
                self.send_header("WWW-Authenticate", "Bearer")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = exposition() + generate_latest(registry)
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing of a scrape."""

    server = ThreadingHTTPServer(("", port), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return server
