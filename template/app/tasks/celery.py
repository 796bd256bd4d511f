"""The worker and its clock: `celery -A app.tasks.celery worker`, `celery -A app.tasks.celery beat`."""

import logging
from functools import cache
from time import monotonic, sleep
from typing import Any

from celery.exceptions import Reject
from celery.signals import setup_logging, worker_init, worker_process_init
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.database import DatabaseSettings, judge
from app.database.sync import SyncDatabase
from app.jobs import sweep as sweeping
from app.jobs.runner import Runner
from app.jobs.settings import TaskSettings
from app.observability.logs import configure_logging
from app.settings import Settings
from app.tasks import liveness
from app.tasks.broker import CLEAN_UP, RUN, SWEEP, Sender, new_celery
from app.tasks.parts import all_parts
from app.tasks.runners import new_runner

logger = logging.getLogger(__name__)

PAUSE = 1.0  # seconds

# What drivers raise when nobody answers, with or without a code of the server's.
_AWAY = (OperationalError, InterfaceError, PoolTimeoutError)

settings = TaskSettings()
if not settings.broker_url:
    raise SystemExit("BROKER_URL is not set: without a broker the service runs its jobs itself.")
database_settings = DatabaseSettings()  # a wrong URL must end the worker here, not its jobs
app = new_celery(settings)


@cache
def runner() -> Runner:
    """Return the runner of this process; made when it is first needed, which is after the fork."""
    return new_runner(settings, database_settings)


@cache
def sender() -> Sender:
    """Return what this process publishes with."""
    return Sender(app, settings)


def run(job_id: int) -> None:
    """Run a job, unless another worker has it.

    Raises:
        Reject: when the database does not answer: the message goes to whoever is next.
    """
    try:
        runner().run(job_id)
    except (DBAPIError, PoolTimeoutError) as error:
        if not isinstance(error, _AWAY) and not judge(error).passes:
            raise
        logger.warning("the database does not answer: the job waits", exc_info=True)
        sleep(PAUSE)  # that may be this process again
        raise Reject(error, requeue=True) from error


def sweep() -> None:
    """Publish the jobs that need it: after the broker was away, for as long as until the next sweep."""
    until = monotonic() + settings.sweep_every
    arguments = runner().database, settings, sender().send, sender().is_empty
    while sweeping.sweep(*arguments) == sweeping.BATCH and monotonic() < until:
        pass


def clean_up() -> None:
    """Delete the jobs that finished long ago."""
    sweeping.clean_up(runner().database, settings)


app.task(run, name=RUN)
app.task(sweep, name=SWEEP)
app.task(clean_up, name=CLEAN_UP)


def log_as_the_service_does(**_: Any) -> None:
    """Send all logs to standard error, in the service's format: Celery then leaves them alone."""
    configure_logging(Settings())
    for name in ("celery.worker.strategy", "celery.app.trace", "celery.beat"):
        logging.getLogger(name).setLevel(logging.WARNING)  # the runner has a line for each job


def check_database() -> None:
    """Connect once, and end the worker when its driver refuses the URL: it could run no job.

    A database that does not answer yet is waited for.
    """
    try:
        settings_of_database = DatabaseSettings()
        database = SyncDatabase(settings_of_database, connections=1, statement_timeout=PAUSE)
        try:
            database.check()
        finally:
            database.close()
    except _AWAY:
        logger.warning("the database does not answer: jobs will wait", exc_info=True)
    except Exception as error:
        logger.exception("the worker cannot use DATABASE_URL")
        raise SystemExit(f"The worker cannot use DATABASE_URL: {type(error).__name__}.") from error


def begin(**_: Any) -> None:
    """Begin in the main process; Celery goes on after an error here, but for SystemExit."""
    check_database()
    liveness.watch(app)
    try:
        for part in all_parts():
            part.before_fork(settings)
    except ValidationError as error:
        raise SystemExit(str(error)) from None


def begin_process(**_: Any) -> None:
    """Begin in a process that runs jobs: the first one need not wait for this."""
    runner()


setup_logging.connect(log_as_the_service_does)
worker_init.connect(begin)
worker_process_init.connect(begin_process)
