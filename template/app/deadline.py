"""A request's deadline: past it the client gets a 504, and the work stops.

The work is cancelled where it waits, so whatever it held, a connection or a place in a
queue, is given back. The deadline ends when the answer begins, and when a transaction is
about to commit: a 504 must not stand for something that was done. What runs in a thread, as
a `def` route does, cannot be stopped: it goes on there after the client has been told.
"""

import asyncio
import logging
from contextvars import ContextVar
from inspect import isasyncgenfunction, iscoroutinefunction

from starlette.types import Scope

from app.observability.context import path_template

logger = logging.getLogger(__name__)

# Routes whose threads the log has been told of: the same ones will be late again.
_told: set[str | None] = set()


class Deadline:
    """Cancels the current task when its time is up: `asyncio.timeout` at a quarter of the cost.

    Args:
        seconds: from now.
    """

    __slots__ = ("_task", "_timer", "is_over")

    def __init__(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(loop)
        self._timer = loop.call_later(seconds, self._end)
        self.is_over = False

    def _end(self) -> None:
        if self._task is not None:
            self.is_over = self._task.cancel()

    def lift(self) -> None:
        """Let the task take its time from now on."""
        self._timer.cancel()

    def ended_it(self) -> bool:
        """Tell, when the task was cancelled, whether this deadline alone has done it."""
        return self.is_over and self._task is not None and not self._task.uncancel()


current_deadline: ContextVar[Deadline | None] = ContextVar("current_deadline", default=None)


def lift_deadline() -> None:
    """Let the current request take its time from now on: what follows must not be cut off."""
    deadline = current_deadline.get()
    if deadline is not None:
        deadline.lift()


def tell_of_thread(scope: Scope) -> None:
    """Log, once for each route, that what a request past its deadline had begun goes on."""
    endpoint, route = scope.get("endpoint"), path_template(scope)
    if endpoint is None or iscoroutinefunction(endpoint) or isasyncgenfunction(endpoint):
        return
    if route not in _told:
        _told.add(route)
        logger.warning(
            "past its deadline a thread of %s may go on: only async def can be stopped", route
        )
