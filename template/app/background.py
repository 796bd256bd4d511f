"""Quick work after the answer, best effort: what must not be lost needs a queue of tasks.

The request's own session is committed and given back by then. The work runs in this
process, one after the other, and the server waits for it when it stops, as long as for a
request that has begun.
"""

import logging
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Annotated, Concatenate, ParamSpec

from fastapi import BackgroundTasks, Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.observability.context import current_request
from app.observability.counts import Count

P = ParamSpec("P")

logger = logging.getLogger(__name__)

FAILURES = Count("background_failures", "Work after an answer that failed.", ["task"])


class BackgroundWork:
    """What is done after the answer; a failure is logged and counted, and stops nothing else.

    Args:
        tasks: FastAPI's, of this request.
        database: gives sessions.
    """

    def __init__(self, tasks: BackgroundTasks, database: Database) -> None:
        self._tasks = tasks
        self._database = database

    def add(
        self, function: Callable[P, Awaitable[object]], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Have a function called after the answer; it must not block."""

        async def work() -> None:
            await function(*args, **kwargs)

        self._tasks.add_task(_run, _name(function), work)

    def add_write(
        self,
        function: Callable[Concatenate[AsyncSession, P], Awaitable[object]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Have a function called after the answer, with a write session of its own.

        Hand it ids, not rows: those belong to the request's session.
        """

        async def work() -> None:
            async with self._database.writes.session() as session:
                await function(session, *args, **kwargs)

        self._tasks.add_task(_run, _name(function), work)


async def get_background(request: Request, tasks: BackgroundTasks) -> BackgroundWork:
    """Give what adds work for after the answer."""
    return BackgroundWork(tasks, request.state.database)


Background = Annotated[BackgroundWork, Depends(get_background)]


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)


async def _run(name: str, work: Callable[[], Awaitable[None]]) -> None:
    request = current_request.get()
    if request is not None and not request.seconds:
        request.seconds = perf_counter() - request.started  # the client has its answer
    try:
        await work()
    except Exception:
        # FastAPI would drop the work that follows.
        logger.exception("%s failed after the answer", name)
        FAILURES.add(name)
