"""Requests that were answered, told of together, ten times a second.

What is counted and logged of a request costs it a third when the same is done for many
one after the other, and nobody reads it within a tenth of a second.
"""

import asyncio
from collections.abc import Callable, Sequence

from app.observability.context import FinishedRequest

BATCH_SECONDS = 0.1
MAX_BATCH = 100  # requests: a millisecond's work

Listener = Callable[[Sequence[FinishedRequest]], None]


class FinishedRequests:
    """Collects requests for its listeners.

    A process that is killed takes those of the last tenth of a second with it.
    """

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self._batch: list[FinishedRequest] = []

    def add(self, request: FinishedRequest) -> None:
        """Tell of a request soon; call it on the event loop."""
        batch = self._batch
        if not batch:
            asyncio.get_running_loop().call_later(BATCH_SECONDS, self._flush, batch)
        batch.append(request)
        if len(batch) >= MAX_BATCH:
            self._flush(batch)

    def flush(self) -> None:
        """Tell of all requests now."""
        self._flush(self._batch)

    def _flush(self, batch: list[FinishedRequest]) -> None:
        if batch is self._batch:  # a batch that was full was told of before its time
            self._batch = []
            for listener in self.listeners:
                listener(batch)


finished_requests = FinishedRequests()
