"""Computations in processes of their own.

What computes for long holds up the event loop, and from a thread it does so too: threads
take turns at running Python. Only another process leaves this one free
(docs/process-pool.md).
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager
from multiprocessing import get_context
from time import perf_counter
from typing import Annotated, Any, ParamSpec, TypeVar

from fastapi import Depends
from pydantic import Field
from pydantic_settings import SettingsConfigDict
from starlette.requests import HTTPConnection

from app.cpus import cpus
from app.database import Database
from app.database.gate import Gate
from app.errors import ProblemError
from app.observability.context import current_request
from app.observability.counts import Count
from app.process_work import OutOfTimeError, begin, compute, rest
from app.settings import ServiceSettings

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

BREAKS = Count("process_pool_breaks", "Times that a process died and all were replaced.")


class ProcessPoolSettings(ServiceSettings):
    """How much is computed at once, and for how long."""

    model_config = SettingsConfigDict(env_prefix="PROCESS_POOL_")

    # Processes of each worker of the server; unless given, those of all workers are one a core.
    workers: int | None = Field(default=None, ge=1)
    queue: int = Field(default=20, ge=0)  # calls that may wait for one
    wait: float = Field(default=5.0, gt=0, allow_inf_nan=False)  # seconds that one may wait
    timeout: float = Field(default=10.0, gt=0, allow_inf_nan=False)  # seconds that one may compute


class ProcessPool:
    """Runs functions in other processes, first come, first served.

    Args:
        settings: its limits.
    """

    def __init__(self, settings: ProcessPoolSettings) -> None:
        self._servers = int(os.environ.get("WEB_CONCURRENCY") or 1)
        self.workers = settings.workers or max(1, cpus() // self._servers)
        self.gate = Gate(self.workers, queue=settings.queue, timeout=settings.wait)
        self._seconds = settings.timeout
        self._replacing = asyncio.Lock()
        self._executor: ProcessPoolExecutor  # while it is open

    @asynccontextmanager
    async def opened(self, _: Database) -> AsyncIterator[None]:
        """Start the processes, and let them finish at the end."""
        total = self.workers * self._servers
        logger.info("%d processes compute, %d with all server workers", self.workers, total)
        self._executor = await asyncio.to_thread(self._start)
        try:
            yield
        finally:
            await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `function` returns in another process.

        Args:
            function: of a module, one that imports little: each process does so anew.
            args: copied, as what is returned is: a few plain values.
            kwargs: likewise.

        Raises:
            BusyError: 503 when too many wait, or this one has for too long.
            ProblemError: 504 when it computes for too long, 503 when its process dies.
            Exception: what `function` raises.
        """
        started = perf_counter()
        try:
            await self.gate.enter()
            executor = self._executor
            work = self._submit(executor, function, args, kwargs)
            return await asyncio.wrap_future(work)
        except OutOfTimeError:
            raise ProblemError(504, f"It takes more than {self._seconds:g} s to compute.") from None
        except BrokenProcessPool as error:
            await self._replace(executor)
            detail = "The process that computed it has died."
            raise ProblemError(503, detail, headers={"Retry-After": "1"}) from error
        finally:
            request = current_request.get()
            if request is not None:
                request.add_span("computing", started, perf_counter())

    def _submit(
        self,
        executor: ProcessPoolExecutor,
        function: Callable[P, T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Future[T]:
        """Give work to a process; its place comes free when that is done, whoever has left."""
        loop = asyncio.get_running_loop()
        try:
            work = executor.submit(compute, self._seconds, function, args, kwargs)
        except BaseException:
            self.gate.leave()
            raise
        work.add_done_callback(lambda _: loop.call_soon_threadsafe(self.gate.leave))
        return work

    def _start(self) -> ProcessPoolExecutor:
        # Not "fork": it copies a process in the middle of what its threads are doing.
        try:
            executor = ProcessPoolExecutor(self.workers, get_context("spawn"), begin)
        except OSError as error:  # it is missing, read-only or full
            raise RuntimeError(
                f"The process pool needs a writable /dev/shm for its semaphores: {error}."
            ) from None
        warm_up(executor, self.workers)
        return executor

    async def _replace(self, broken: ProcessPoolExecutor) -> None:
        async with self._replacing:
            if self._executor is broken:  # nobody has done so
                BREAKS.add()
                logger.error("a process of the pool has died: all are replaced")
                self._executor = await asyncio.to_thread(self._start)


def warm_up(executor: ProcessPoolExecutor, workers: int) -> None:
    """Start the processes, which otherwise the first calls do, and hold up the event loop."""
    # Each is given work that takes until all are started: one that is free would get the next.
    for begun in [executor.submit(rest, workers / 100) for _ in range(workers)]:
        begun.result()


async def get_process_pool(connection: HTTPConnection) -> ProcessPool:
    """Give the pool."""
    pool: ProcessPool = connection.app.state.process_pool
    return pool


Processes = Annotated[ProcessPool, Depends(get_process_pool)]
