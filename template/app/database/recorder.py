"""One recorder hears of every statement, on whichever road it is sent."""

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine

logger = logging.getLogger(__name__)

# Called with a statement's SQL, when it began and when it ended (seconds, `perf_counter()`).
Listener = Callable[[str, float, float], None]


class Recorder:
    """Counts statements, logs those that are slow, and passes every one on to `listeners`.

    Statements are told without their parameters, which may be secrets.

    Args:
        slow: from how many seconds on a statement is slow.
    """

    def __init__(self, slow: float) -> None:
        self.listeners: list[Listener] = []
        self.slow = slow
        self.statements, self.seconds = 0, 0.0  # so far, all together

    def record(self, statement: str, started: float) -> None:
        """Take note of a statement that ends now, well or not, and began at `started`."""
        ended = perf_counter()
        seconds = ended - started
        self.statements += 1
        self.seconds += seconds
        if seconds >= self.slow:
            logger.warning(
                "slow statement",
                extra={"statement": statement, "duration_ms": round(seconds * 1000, 3)},
            )
        for listener in self.listeners:
            listener(statement, started, ended)

    def watch(self, engine: AsyncEngine) -> None:
        """Record the statements of an engine from now on."""

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def begin(connection: Connection, cursor: Any, sql: str, *more: Any) -> None:
            _, context, _ = more
            context.started = perf_counter()

        @event.listens_for(engine.sync_engine, "after_cursor_execute")
        def end(connection: Connection, cursor: Any, sql: str, *more: Any) -> None:
            _, context, _ = more
            self.record(sql, context.started)

        @event.listens_for(engine.sync_engine, "handle_error")
        def fail(failure: ExceptionContext) -> None:
            started = getattr(failure.execution_context, "started", None)
            if failure.statement is not None and started is not None:
                self.record(failure.statement, started)
