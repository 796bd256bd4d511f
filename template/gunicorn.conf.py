"""gunicorn in production: `gunicorn app.main:app` reads this file.

https://docs.gunicorn.org/en/stable/settings.html
"""

import os
import signal
import sys
from math import ceil
from time import monotonic, sleep
from typing import Any, ClassVar

from gunicorn.glogging import Logger
from uvicorn_worker import UvicornWorker

from app.connection import Connection
from app.cpus import cpus
from app.database import most_workers
from app.guard import GuardSettings
from app.observability.logs import configure_logging
from app.settings import Settings

_settings = Settings()

# Seconds for requests that have begun, once a worker stops: more than any may take.
FINISH = ceil(GuardSettings().request_deadline) + 5


class ServiceWorker(UvicornWorker):
    """uvicorn, told what gunicorn's own workers know by themselves."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        **UvicornWorker.CONFIG_KWARGS,
        # Without it a worker waits for ever, is killed and never closes its connections.
        "timeout_graceful_shutdown": FINISH,
        "timeout_notify": 0.5,  # seconds; none follow once it stops, so the last must be fresh
        "http": Connection,  # with limits of its own
        "ws_max_size": GuardSettings().max_body_size,
        "access_log": False,  # the service has its own, with durations and ids
    }

    def init_signals(self):
        """Let a worker that has stopped exit and tidy up, not die of the signal it stopped by.

        uvicorn raises it once more when it has; these are the handlers before and after its own.
        """
        super().init_signals()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def handle_exit(self, sig, frame):
        """Stop on SIGQUIT, as which the parent hands on a SIGINT; uvicorn does not know it."""
        signal.raise_signal(signal.SIGTERM)


class ServiceLogger(Logger):
    """gunicorn's own messages in the service's format."""

    def setup(self, cfg):
        """Hand them to the root logger, now and when the configuration is loaded again."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        configure_logging(_settings)


# --- Workers ---
worker_class = ServiceWorker
# More than one for each core brings memory and nothing else. The service's connection budget
# reads the same variable.
workers = int(os.environ.get("WEB_CONCURRENCY") or min(cpus(), most_workers()))
os.environ["WEB_CONCURRENCY"] = str(workers)
# What leaks is given back now and then; not by all workers at once, and not by one that is alone:
# the next worker starts when it has stopped.
max_requests = 1_000_000 if workers > 1 else 0
max_requests_jitter = 100_000

# --- Time, in seconds ---
timeout = FINISH + 5  # without a heartbeat, then the worker is taken for blocked and replaced
graceful_timeout = ceil(_settings.drain_seconds) + FINISH + 5  # then workers are killed
keepalive = 75  # longer than a load balancer keeps a connection, or it writes into a closed one
if os.access("/dev/shm", os.W_OK):  # noqa: S108
    worker_tmp_dir = "/dev/shm"  # noqa: S108  the heartbeat must not wait for a disk

# --- Network ---
bind = f"0.0.0.0:{os.environ.get('PORT') or 8000}"
# Proxies whose X-Forwarded-For and -Proto are believed.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS") or "127.0.0.1"
control_socket_disable = True  # nobody is to steer it but its platform, and a disk may be read-only

# --- Logs ---
logger_class = ServiceLogger
loglevel = _settings.log_level


def on_starting(server):
    """Tell the service how many workers it has, should the command line have another number."""
    os.environ["WEB_CONCURRENCY"] = str(server.cfg.workers)


def when_ready(server):
    """Have old workers serve, on a SIGHUP, until as many new ones do; gunicorn stops them first."""
    stop_the_oldest = server.manage_workers

    def serves(worker):
        return worker.tmp.last_update() <= monotonic()  # a date, until its first heartbeat

    def manage_workers():
        until = monotonic() + server.timeout
        while len(server.WORKERS) > server.num_workers and monotonic() < until:
            newest = sorted(server.WORKERS.values(), key=lambda worker: worker.age)
            if all(map(serves, newest[-server.num_workers :])):
                break
            sleep(0.1)
            server.reap_workers()  # new ones that could not start
        stop_the_oldest()

    server.manage_workers = manage_workers
