"""Jobs without a broker: the service runs them itself, one at a time, in a thread.

For development, tests and a service with little to do. The thread takes turns with the event
loop, and a deployment stops it; so production has to ask for it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from queue import Empty, Full
from queue import Queue as Line
from threading import Thread
from time import monotonic, sleep

from app.database import Database, DatabaseSettings
from app.jobs.kinds import Queue
from app.jobs.outbox import nudging
from app.jobs.runner import Runner
from app.jobs.settings import TaskSettings
from app.jobs.sweep import clean_up, sweep
from app.tasks.runners import new_runner

logger = logging.getLogger(__name__)

CLEAN_UP_EVERY = 3600.0  # seconds
PAUSE = 0.1  # seconds after what went wrong
FINISH = 5.0  # seconds that a job is given when the service stops


class NoBrokerError(Exception):
    """The service was not told who runs its jobs."""


class Embedded:
    """Runs jobs in this process.

    Args:
        settings: limits and delays.
    """

    def __init__(self, settings: TaskSettings) -> None:
        self._settings = settings
        self._line: Line[int | None] = Line(settings.publish_queue)  # None wakes it up
        self._ending = False

    def nudge(self, job_id: int, queue: Queue) -> None:
        """Run a job soon; a full queue leaves it to the sweep."""
        try:
            self._line.put_nowait(job_id)
        except Full:
            logger.debug("the queue is full")

    @asynccontextmanager
    async def opened(self, database: Database) -> AsyncIterator[None]:
        """Run the thread as long as the service.

        Raises:
            NoBrokerError: in production, unless TASKS_EMBEDDED says that this is meant.
        """
        if not self._settings.may_embed:
            raise NoBrokerError(
                "Nobody would run the jobs: set BROKER_URL, or TASKS_EMBEDDED=yes to have the"
                " service run them itself, or ENVIRONMENT=development."
            )
        url = database.writes.engine.url.render_as_string(hide_password=False)
        thread = Thread(target=self._run, args=(url,), name="jobs", daemon=True)
        thread.start()
        try:
            async with nudging(database, self):
                yield
        finally:
            await asyncio.to_thread(self._end, thread)

    def _end(self, thread: Thread) -> None:
        """Stop after the job that runs; one that takes too long is begun again after its lease."""
        self._ending = True
        if self._line.empty():
            self._line.put(None)
        thread.join(FINISH)

    def _run(self, url: str) -> None:
        runner = new_runner(self._settings, DatabaseSettings(url=url))
        next_sweep = monotonic() + self._settings.sweep_every
        next_clean_up = monotonic() + CLEAN_UP_EVERY
        try:
            while not self._ending:
                try:
                    self._run_next(runner, max(0.0, next_sweep - monotonic()))
                    if monotonic() >= next_sweep:
                        next_sweep = monotonic() + self._settings.sweep_every
                        self._sweep(runner)
                    if monotonic() >= next_clean_up:
                        next_clean_up = monotonic() + CLEAN_UP_EVERY
                        clean_up(runner.database, self._settings)
                # Whatever it is, nobody else would run the jobs; a job may call sys.exit().
                except (Exception, SystemExit):
                    logger.warning("jobs wait", exc_info=True)
                    sleep(PAUSE)
        finally:
            runner.database.close()

    def _run_next(self, runner: Runner, wait: float) -> None:
        try:
            job_id = self._line.get(timeout=wait)
        except Empty:
            return
        if job_id is not None and not self._ending:
            runner.run(job_id)

    def _sweep(self, runner: Runner) -> None:
        def publish(job_id: int, _: Queue) -> None:
            self._line.put_nowait(job_id)

        sweep(runner.database, self._settings, publish, lambda _: self._line.empty())
